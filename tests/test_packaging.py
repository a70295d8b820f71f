"""What the Dockerfile, the compose file and the pins promise, read as text."""

import json
import re
import sys
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from app import explorer
from app.api_docs import pages
from app.settings import Settings

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "client"
# What torch 2.13.0 requires in the build that PyPI has, which is for CUDA 13.
CUDA_BUILD = {
    "torch": [
        "filelock",
        "typing-extensions>=4.10.0",
        "setuptools>=77.0.3",
        "sympy>=1.13.3",
        "networkx>=2.5.1",
        "jinja2",
        "fsspec>=0.8.5",
        "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,cusparse,nvtx]==13.0.3",
        "cuda-bindings<14,>=13.0.3",
        "nvidia-cudnn-cu13==9.20.0.48",
        "nvidia-cusparselt-cu13==0.8.1",
        "nvidia-nccl-cu13==2.29.7",
        "nvidia-nvshmem-cu13==3.4.5",
        "triton==3.7.1",
    ],
    "cuda-toolkit": [
        "nvidia-cublas==13.1.1.3.*; extra == 'cublas'",
        "nvidia-cuda-nvrtc==13.0.88.*; extra == 'cublas'",
        "nvidia-cuda-runtime==13.0.96.*; extra == 'cudart'",
        "nvidia-cufft==12.0.0.61.*; extra == 'cufft'",
        "nvidia-nvjitlink<14,>=13.0.88; extra == 'cufft'",
        "nvidia-cufile==1.15.1.6.*; extra == 'cufile'",
        "nvidia-cuda-cupti==13.0.85.*; extra == 'cupti'",
        "nvidia-cusparse==12.6.3.3.*; extra == 'cusparse'",
        "nvidia-nvtx==13.0.85.*; extra == 'nvtx'",
    ],
    "nvidia-cublas": ["nvidia-cuda-nvrtc"],
    "nvidia-cudnn-cu13": ["nvidia-cublas"],
    "cuda-bindings": ["cuda-pathfinder>=1.4.2"],
}


class Instruction(NamedTuple):
    """One instruction of a Dockerfile, its continuation lines joined."""

    stage: str
    name: str
    argument: str


def dockerfile() -> list[Instruction]:
    """Split the Dockerfile into instructions, each with the stage it stands in."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    code = "\n".join(line for line in lines if not line.startswith("#"))
    instructions, stage = [], ""
    for line in code.replace("\\\n", " ").split("\n"):
        if not line.strip():
            continue
        name, argument = line.split(maxsplit=1)
        if name == "FROM":
            stage = argument.split(" AS ")[1]
        instructions.append(Instruction(stage, name, " ".join(argument.split())))
    return instructions


def stage(name: str, instruction: str) -> list[str]:
    """Return what a stage says under one instruction."""
    return [i.argument for i in dockerfile() if i[:2] == (name, instruction)]


def compose() -> dict[str, Any]:
    """Return the services of the compose file."""
    text = (ROOT / "docker-compose.yml").read_text()
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def health_check() -> list[str]:
    """Return the words of the image's health check."""
    [check] = stage("service", "HEALTHCHECK")
    words: list[str] = json.loads(check[check.index(" CMD ") + len(" CMD ") :])
    return words


def pins() -> dict[str, str]:
    """Return name -> version as constraints.txt has them."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    parts = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in parts}


def metadata(folder: Path = ROOT) -> dict[str, Any]:
    """Return what a pyproject.toml says of its distribution."""
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    said: dict[str, Any] = tomllib.loads(text)["project"]
    return said


def packages(folder: Path) -> set[str]:
    """Return the top-level packages that setuptools puts into a distribution."""
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    patterns = tomllib.loads(text)["tool"]["setuptools"]["packages"]["find"]["include"]
    found = (folder.glob(f"{pattern}/**/__init__.py") for pattern in patterns)
    return {path.relative_to(folder).parts[0] for paths in found for path in paths}


def declared() -> list[Requirement]:
    """Return every requirement of the service, with extras, and of the client."""
    service, client = metadata(), metadata(CLIENT)
    extras = service["optional-dependencies"].values()
    lists = [service["dependencies"], *extras, client["dependencies"]]
    return [Requirement(line) for lines in lists for line in lines]


@pytest.mark.parametrize(
    ("package", "page"),
    [("app.explorer", explorer), ("app.api_docs.swagger_ui", pages)],
)
def test_pages_are_packaged_whole(package: str, page: ModuleType) -> None:
    """An installed service has every file that a page is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"][package]
    folder = ROOT.joinpath(*package.split("."))
    packaged = {path.name for pattern in patterns for path in folder.glob(pattern)}

    assert packaged == page.files().keys()


@pytest.mark.parametrize("service", ["train", "api", "prometheus", "grafana"])
def test_containers_can_change_nothing_but_their_volumes(service: str) -> None:
    """Root is read-only, no capability is held or can be gained, resources end."""
    settings = compose()[service]

    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert "cap_add" not in settings
    assert "privileged" not in settings
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["pids_limit"] > 0
    assert settings["mem_limit"]


def test_only_this_machine_reaches_the_port() -> None:
    """Every published port is bound to the loopback address."""
    published = [port for s in compose().values() for port in s.get("ports", [])]

    assert published == [
        "${PUBLISH:-127.0.0.1}:${VAE_PORT:-8000}:8000",
        "127.0.0.1:3000:3000",
    ]
    assert all(s.get("network_mode") != "host" for s in compose().values())


def test_training_is_asked_for_and_the_api_cannot_write_checkpoints() -> None:
    """The api starts alone; training writes the volume, and the api only reads it."""
    train, api = compose()["train"], compose()["api"]

    assert train["profiles"] == ["train"]
    assert "depends_on" not in api
    assert train["volumes"] == [
        "${CHECKPOINTS:-checkpoints}:/checkpoints",
        "${DATA:-data}:/data:ro",
    ]
    assert train["user"] == "${RUN_AS:-10001:10001}"
    assert api["volumes"] == ["${CHECKPOINTS:-checkpoints}:/checkpoints:ro"]
    assert train["restart"] == "no"


def test_compose_passes_every_setting_on() -> None:
    """Those of the container itself excepted; Prometheus may ask for the host `api`."""
    given = dict(compose()["api"]["environment"])
    names = {f"VAE_{name.upper()}" for name in Settings.model_fields}

    hosts = given.pop("VAE_ALLOWED_HOSTS")
    assert hosts == "${VAE_ALLOWED_HOSTS:+${VAE_ALLOWED_HOSTS},api}"
    assert given.pop("VAE_CHECKPOINT").startswith("${VAE_CHECKPOINT:-")
    traces = {name: given.pop(name) for name in [*given] if name.startswith("OTEL_")}
    assert traces["OTEL_EXPORTER_OTLP_ENDPOINT"] == "${OTEL_EXPORTER_OTLP_ENDPOINT:-}"
    assert given == {name: f"${{{name}:-}}" for name in given}
    own = {"VAE_HOST", "VAE_PORT", "VAE_CHECKPOINT", "VAE_ALLOWED_HOSTS"}
    assert given.keys() == names - own


def test_compose_builds_stages_that_exist() -> None:
    """Each service's build target is a stage, and the default one is the service."""
    built = {name: s["build"] for name, s in compose().items() if "build" in s}
    targets = {name: build["target"] for name, build in built.items()}

    assert targets == {"train": "train", "api": "service"}
    assert set(targets.values()) <= {i.stage for i in dockerfile()}
    assert dockerfile()[-1].stage == "service"


def test_the_image_serves_the_released_checkpoint_to_the_outside() -> None:
    """The image's VAE_* variables are settings: all addresses, what it was given."""
    words = " ".join(stage("runtime", "ENV") + stage("service", "ENV")).split()
    settings = Settings.from_environment(dict(word.split("=", 1) for word in words))
    [directory] = stage("runtime", "WORKDIR")

    assert settings.host == "0.0.0.0"
    assert stage("service", "EXPOSE") == [str(settings.port)]
    assert "released/ released/" in stage("service", "COPY")
    assert not {"app/ app/", "released/ released/"} & {*stage("train", "COPY")}
    inside = settings.checkpoint_directory.relative_to(directory)
    assert ROOT / inside == Settings.from_environment({}).checkpoint
    assert (ROOT / inside / "manifest.json").is_file()


def test_compose_serves_the_released_checkpoint_unless_told() -> None:
    """VAE_CHECKPOINT names another; without it compose serves what the image does."""
    [requirement] = [
        word
        for word in " ".join(stage("service", "ENV")).split()
        if "CHECKPOINT" in word
    ]
    name, released = requirement.split("=")

    said = compose()["api"]["environment"][name]

    assert said == f"${{{name}:-{released}}}"


@pytest.mark.parametrize(
    ("name", "script"), [("service", "vae-serve"), ("train", "vae-train")]
)
def test_images_run_as_a_numeric_user_without_a_shell(name: str, script: str) -> None:
    """A stage that is run ends as 10001:10001, with its command in exec form."""
    [user], [command] = stage(name, "USER"), stage(name, "CMD")
    [entry_point] = stage(name, "ENTRYPOINT")

    assert user == "10001:10001"
    assert json.loads(entry_point) == [script]
    assert script in metadata()["scripts"]
    assert all(word.startswith(("--", "/", "digits")) for word in json.loads(command))


def test_images_have_labels_licenses_and_a_volume_for_any_user() -> None:
    """By the names of OCI; group 0 may write, to which an arbitrary user belongs."""
    [labels] = stage("runtime", "LABEL")
    made = next(i for i in stage("runtime", "RUN") if "/checkpoints" in i)

    for name in ("source", "revision", "version", "licenses"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert "LICENSE NOTICE /licenses/" in stage("runtime", "COPY")
    assert "--group 0 --mode 0775 /checkpoints" in made


def test_a_build_for_cpus_does_not_take_another() -> None:
    """Where the index of the CPU build is named, torch must be without CUDA."""
    [check] = [i for i in stage("builder", "RUN") if "version.py" in i]

    assert check.startswith('case "$TORCH_INDEX_URL" in */cpu)')
    assert "exit 1" in check


def test_units_of_systemd_start_the_command_that_is_installed() -> None:
    """With time for the drain, and settings from a file that may be missing."""
    unit = (ROOT / "deploy/systemd/vae.service").read_text(encoding="utf-8")
    drain = Settings.model_fields["drain_timeout"].default
    delay = Settings.model_fields["drain_delay"].default

    [command] = re.findall(r"^ExecStart=/opt/vae/bin/(\S+)$", unit, re.MULTILINE)
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert command in metadata()["scripts"]
    assert int(seconds) > drain + delay
    assert "EnvironmentFile=-/etc/vae/vae.env" in unit
    variables = dict(re.findall(r"^Environment=(VAE_\w+)=(\S+)$", unit, re.MULTILINE))
    [cache] = re.findall(r"^CacheDirectory=(\w+)$", unit, re.MULTILINE)
    settings = Settings.from_environment(variables)
    assert settings.checkpoint_cache == Path("/var/cache") / cache


def test_images_are_built_from_pins_and_fetch_nothing_else() -> None:
    """Each pip call is constrained; no instruction downloads by other means."""
    commands = [i.argument for i in dockerfile() if i.name == "RUN"]
    installs = [command for command in commands if "-m pip" in command]

    assert len(installs) == 2
    assert all(re.search(r"--constraint \S*constraints.txt", i) for i in installs)
    assert not any(re.search(r"\b(curl|wget)\b", i.argument) for i in dockerfile())
    assert not any(i.name == "ADD" for i in dockerfile())


def test_a_package_that_is_trimmed_leaves_no_metadata() -> None:
    """A scanner of the image would report a package that is not there."""
    [removed] = stage("trimmed", "RUN")

    for distribution in ("sympy", "setuptools", "jinja2", "python_dotenv", "pyyaml"):
        metadata_directory = f"{distribution}-1.0.dist-info"
        assert any(fnmatch(metadata_directory, word) for word in removed.split())


def test_the_build_context_has_what_is_copied() -> None:
    """.dockerignore lets through every path that a COPY names, and secrets never."""
    copies = [i.argument for i in dockerfile() if i.name == "COPY"]
    sources = {
        word.rstrip("/")
        for copy in copies
        if not copy.startswith("--from")
        for word in copy.split()[:-1]
    }

    lines = (ROOT / ".dockerignore").read_text().splitlines()

    assert lines[[line.startswith("#") for line in lines].index(False)] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == sources


def test_the_health_check_is_a_module_of_the_service() -> None:
    """It follows the settings, see `app.server.healthcheck`."""
    assert health_check() == ["python", "-m", "app.server.healthcheck"]


def test_compose_asks_for_health_as_the_image_does() -> None:
    """The compose file repeats the image's health check word for word."""
    assert compose()["api"]["healthcheck"]["test"] == ["CMD", *health_check()]


def test_the_license_travels() -> None:
    """Apache-2.0, its text and the notices of others, in the project and the images."""
    project = metadata()

    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert "MNIST" in (ROOT / "NOTICE").read_text()
    assert "Palmer penguins" in (ROOT / "NOTICE").read_text()
    assert set(project["license-files"]) == {"LICENSE", "NOTICE"}
    assert "LICENSE NOTICE /licenses/" in stage("runtime", "COPY")
    assert metadata(CLIENT)["license"] == "Apache-2.0"
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_changelog_has_the_version_that_is_built() -> None:
    """Newest first: what is not released yet, or this version, then those before it."""
    project = metadata()
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    released = [Version(name) for name in headings if name != "Unreleased"]

    assert released == sorted(set(released), reverse=True)
    assert released[0] <= Version(project["version"])
    assert headings[0] in ("Unreleased", project["version"])


def test_the_client_is_a_distribution_of_its_own() -> None:
    """It requires three packages; the service shares its version and no package."""
    client = metadata(CLIENT)

    names = {Requirement(line).name for line in client["dependencies"]}
    assert names == {"httpx", "numpy", "safetensors"}
    assert client["version"] == metadata()["version"]
    assert client["requires-python"] == metadata()["requires-python"]
    assert packages(CLIENT) == {"vae_client"}
    assert packages(ROOT) == {"app", "model"}
    assert (CLIENT / "vae_client" / "py.typed").is_file()


def test_every_declared_requirement_is_pinned() -> None:
    """constraints.txt has one version for each name in pyproject.toml, and it fits."""
    pinned = pins()

    for requirement in declared():
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def installed_requirements(name: str) -> list[str]:
    """Return what an installed package requires; nothing where it is absent."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def unpinned(requires_of: Callable[[str], list[str]]) -> set[str]:
    """Return what pip would choose a version of by itself, in no pin of ours."""
    waiting, seen = declared(), set[str]()
    named, exact = set[str](), set[str]()
    while waiting:
        parent = waiting.pop()
        if str(parent) in seen:
            continue
        seen.add(str(parent))
        (exact if is_exact(parent) else named).add(canonicalize_name(parent.name))
        for line in requires_of(canonicalize_name(parent.name)):
            child = Requirement(line)
            if child.marker is None or any(
                child.marker.evaluate({"extra": extra})
                for extra in parent.extras or {""}
            ):
                waiting.append(child)
    return named - exact - pins().keys()


def is_exact(requirement: Requirement) -> bool:
    """Say whether who requires a package says which version it is."""
    return any(specifier.operator == "==" for specifier in requirement.specifier)


def test_every_transitive_requirement_is_pinned() -> None:
    """What pip would install besides is pinned too, by us or by who requires it."""
    assert unpinned(installed_requirements) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA builds are for Linux")
def test_what_a_cuda_build_of_torch_requires_is_pinned_too() -> None:
    """Read in the metadata of the build that PyPI has, whichever is installed here."""

    def with_cuda(name: str) -> list[str]:
        return CUDA_BUILD.get(name) or installed_requirements(name)

    assert unpinned(with_cuda) == set()
    assert "cuda-pathfinder" in pins()


def test_pins_are_exact_and_for_any_build_of_torch() -> None:
    """Each line is name==version, once, without a local version such as +cpu."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    names = [line for line in lines if not line.startswith("#")]

    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in names)
    assert len(names) == len(pins())
