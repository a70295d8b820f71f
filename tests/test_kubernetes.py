"""The Kubernetes manifests name what the service has, and fit its drain."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.calls import table
from app.observability.metrics import Metrics
from app.settings import Settings, setting_rows
from model.bulk import command_line
from model.bulk.options import BulkEncodeOptions
from model.bulk.row_range import row_range
from model.input_errors import BAD_INPUT

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy" / "kubernetes"
DOCUMENTS = [
    document
    for path in sorted(FOLDER.rglob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
VARIABLES = {row.variable for row in setting_rows()}
NAME = {"app.kubernetes.io/name": "vae"}
SECONDS_TO_EXIT = 5  # as docs/operating.md says


def values(document: object, name: str) -> Iterator[Any]:
    """Yield every value of a key, at any depth."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == name:
                yield value
            yield from values(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from values(value, name)


def patched() -> Iterator[Any]:
    """Yield the documents, and the operations of their patches."""
    for document in DOCUMENTS:
        yield document
        for patch in values(document, "patch"):
            yield yaml.safe_load(patch)


def of_kind(kind: str) -> Any:
    """Return the one document of a kind."""
    [found] = [document for document in DOCUMENTS if document["kind"] == kind]
    return found


@pytest.fixture
def pod() -> Any:
    """Return the pod's specification."""
    return of_kind("Deployment")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod: Any) -> Any:
    """Return the service's container."""
    [found] = pod["containers"]
    return found


def test_every_variable_is_a_setting() -> None:
    """A setting that is misspelled would keep the pod from starting."""
    found = set()
    for document in patched():
        for name in values(document, "name"):
            if isinstance(name, str) and name.startswith("VAE_"):
                found.add(name)

    assert {"VAE_CHECKPOINT", "VAE_API_KEYS_FILE", "VAE_DRAIN_DELAY"} <= found
    assert found <= VARIABLES


def test_settings_are_valid(container: Any) -> None:
    """The variables of the base are read without an error."""
    given = {one["name"]: one["value"] for one in container["env"]}

    settings = Settings.from_environment(given)

    assert settings.access_log


def test_probes_ask_for_calls_on_the_port_of_the_container(container: Any) -> None:
    """Liveness never depends on load; startup and readiness are the same question."""
    [port] = container["ports"]
    paths = {call.path for call in table.calls(Settings.from_environment({}))}
    probes = {
        name: container[f"{name}Probe"]["httpGet"]
        for name in ("startup", "readiness", "liveness")
    }

    assert probes["startup"] == probes["readiness"]
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert all(probe["path"] in paths for probe in probes.values())
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"VAE_PORT={port['containerPort']}" in image
    [service] = of_kind("Service")["spec"]["ports"]
    assert service["targetPort"] == port["name"]
    [rule] = of_kind("NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"port": port["name"]}]


def test_the_grace_period_is_as_long_as_the_drain(pod: Any, container: Any) -> None:
    """The cluster kills what has not ended by itself."""
    given = {one["name"]: one["value"] for one in container["env"]}
    drain = float(given["VAE_DRAIN_DELAY"]) + float(given["VAE_DRAIN_TIMEOUT"])
    readiness = container["readinessProbe"]

    assert pod["terminationGracePeriodSeconds"] == drain + SECONDS_TO_EXIT
    assert float(given["VAE_DRAIN_DELAY"]) > readiness["periodSeconds"]


def test_no_variable_comes_from_the_name_of_the_service(pod: Any) -> None:
    """Links to a Service named vae would set VAE_PORT to tcp://..."""
    assert of_kind("Service")["metadata"]["name"] == "vae"
    assert pod["enableServiceLinks"] is False


def test_the_pod_has_no_more_rights_than_it_needs(pod: Any, container: Any) -> None:
    """Not root, nothing to write but /tmp, no capabilities, no token, no way out."""
    context = container["securityContext"]
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in image
    assert pod["automountServiceAccountToken"] is False
    assert context["readOnlyRootFilesystem"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert of_kind("NetworkPolicy")["spec"]["egress"] == []
    assert container["resources"]["limits"].keys() == {"memory"}


def test_what_selects_pods_selects_those_of_the_deployment() -> None:
    """An empty selector would be all pods of the namespace."""
    deployment = of_kind("Deployment")["spec"]
    [spread] = deployment["template"]["spec"]["topologySpreadConstraints"]

    assert deployment["template"]["metadata"]["labels"] == NAME
    assert of_kind("Service")["spec"]["selector"] == NAME
    for selector in (
        deployment["selector"],
        spread["labelSelector"],
        of_kind("PodDisruptionBudget")["spec"]["selector"],
        of_kind("NetworkPolicy")["spec"]["podSelector"],
    ):
        assert selector == {"matchLabels": NAME}


def test_the_pods_of_the_job_encode_all_rows_once() -> None:
    """Each of the parts, with the command of the image, into a file of its own."""
    job = of_kind("Job")["spec"]
    [container] = job["template"]["spec"]["containers"]
    scripts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    outs: set[Path] = set()
    rows: list[int] = []
    threads: set[str] = set()

    for index in range(job["completions"]):
        words = [
            word.replace("$(JOB_COMPLETION_INDEX)", str(index))
            for word in container["args"]
        ]
        options = command_line.read(BulkEncodeOptions, words, prog="vae-encode")
        outs.add(options.out)
        threads.add(str(options.threads))
        rows += row_range(options.rows, 1003, of="x.npy")

    assert job["completionMode"] == "Indexed"
    assert f'{container["command"][0]} = "model.commands:encode"' in scripts
    assert len(outs) == job["completions"]
    assert rows == list(range(1003))
    assert threads == {container["resources"]["requests"]["cpu"]}


def test_the_job_is_no_pod_of_the_service_and_has_no_more_rights(pod: Any) -> None:
    """The Service must not send requests to it; a wrong input ends it at once."""
    job = of_kind("Job")["spec"]
    template = job["template"]
    [found], [container] = template["spec"]["containers"], pod["containers"]
    [exit_codes, disrupted] = job["podFailurePolicy"]["rules"]

    assert not template["metadata"]["labels"].items() & NAME.items()
    assert template["spec"]["securityContext"] == pod["securityContext"]
    assert found["securityContext"] == container["securityContext"]
    assert template["spec"]["restartPolicy"] == "Never"
    assert exit_codes["onExitCodes"]["values"] == [BAD_INPUT]
    assert exit_codes["onExitCodes"]["containerName"] == found["name"]
    assert disrupted["action"] == "Ignore"
    claims = {volume["name"] for volume in template["spec"]["volumes"]}
    assert {mount["name"] for mount in found["volumeMounts"]} == claims


def test_a_checkpoint_that_is_copied_again_is_the_same(tmp_path: Path) -> None:
    """An init container is tried again if it fails, with what the first try left."""
    [patch] = [
        operation["value"]
        for document in patched()
        if isinstance(document, list)
        for operation in document
        if operation["path"].endswith("/initContainers")
    ]
    command = [
        f"{tmp_path}{word}" if word.startswith("/") else word
        for word in patch[0]["command"]
    ]
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "checkpoint" / "config.json").chmod(0o444)
    (tmp_path / "model").mkdir()

    for _ in range(2):
        subprocess.run(command, check=True)

    copied = [path.relative_to(tmp_path) for path in (tmp_path / "model").rglob("*")]
    assert {path.as_posix() for path in copied} == {
        "model/checkpoint",
        "model/checkpoint/config.json",
    }


def test_autoscaling_goes_by_a_metric_of_the_service() -> None:
    """The name is one that /metrics has."""
    [metric] = of_kind("HorizontalPodAutoscaler")["spec"]["metrics"]
    text = asyncio.run(Metrics(n_workers=1).exposition()).decode()

    name = metric["pods"]["metric"]["name"]
    assert re.search(rf"^# TYPE {name} gauge$", text, re.MULTILINE)
