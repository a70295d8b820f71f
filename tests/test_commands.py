"""What the commands around the code do: make, .ci/run, and those of containers."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
MAKE_READS = (
    "Makefile",
    "pyproject.toml",
    "client/pyproject.toml",
    "constraints.txt",
    "deploy/torch_index.py",
)
STAMPS = (".torch-auto", ".can-serve", ".can-train", ".can-test")
PIP_INSTALL = "-m pip install --constraint constraints.txt"

PYTEST = "-m pytest -n auto --dist loadfile --no-loadscope-reorder"
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is absent")


@needs_make
def test_serve_hands_on_every_setting(project: Path) -> None:
    """HOST, PORT and any VAE_* of the command line reach the server's environment."""
    output = make(project, "serve", "HOST=::1", "PORT=9000", "VAE_MAX_ROWS=7")

    assert read_calls(project / "python.calls")[-1] == "-m app"
    assert read_calls(project / "python.environment") == [
        "VAE_CHECKPOINT=released/mnist",
        "VAE_HOST=::1",
        "VAE_MAX_ROWS=7",
        "VAE_PORT=9000",
    ]
    assert "in a browser: http://[::1]:9000/" in output


@needs_make
def test_serve_listens_to_vae_names_too(project: Path) -> None:
    """VAE_HOST, VAE_PORT and VAE_CHECKPOINT count where the short names are not set."""
    make(project, "serve", "VAE_PORT=9001", "VAE_CHECKPOINT=mine", HOST="elsewhere")

    assert read_calls(project / "python.environment") == [
        "VAE_CHECKPOINT=mine",
        "VAE_HOST=127.0.0.1",
        "VAE_PORT=9001",
    ]
    assert "-m model.train" not in "".join(read_calls(project / "python.calls"))


@pytest.mark.slow("runs make again and again")
@needs_make
def test_serving_installs_what_serving_needs_and_testing_the_rest(
    project: Path,
) -> None:
    """Even in parallel: one installation from the pins, then what needs it."""
    uninstall(project)

    make(project, "serve", "TORCH_INDEX_URL=https://torch.example")

    served = read_calls(project / "python.calls")
    assert served == [
        f"{PIP_INSTALL} --extra-index-url https://torch.example torch",
        f"{PIP_INSTALL} --editable .",
        "-m app",
    ]

    make(project, "-j4", "serve", "test")

    added = read_calls(project / "python.calls")[len(served) :]
    assert sorted(added) == [
        "-m app",
        f"{PIP_INSTALL} --editable .[train,dev] --editable ./client",
        f"{PIP_INSTALL} --editable .[train]",
        PYTEST,
    ]


@pytest.mark.slow("runs make")
@needs_make
def test_installing_says_which_torch_it_takes_and_shows_its_progress(
    project: Path,
) -> None:
    """One line names the build; pip is not quiet."""
    uninstall(project)

    output = run(["sh", "-c", "make install TORCH=cuda 2>&1"], cwd=project)

    assert "torch: the build of pip's own index (TORCH=cuda)\n" in output
    installs = [
        call for call in read_calls(project / "python.calls") if "pip install" in call
    ]
    assert installs[0] == f"{PIP_INSTALL} torch"
    assert not any("--quiet" in call for call in installs)


@pytest.mark.slow("runs make")
@needs_make
def test_another_torch_replaces_the_one_that_is_there(project: Path) -> None:
    """TORCH counts after the first installation too, and then stays."""
    make(project, "serve", "TORCH=cuda")
    changed = read_calls(project / "python.calls")

    make(project, "serve")

    assert changed[:2] == [
        "-m pip uninstall --quiet --yes torch",
        f"{PIP_INSTALL} torch",
    ]
    assert read_calls(project / "python.calls")[len(changed) :] == ["-m app"]


@needs_make
def test_the_inner_loop_leaves_out_what_is_slow(project: Path) -> None:
    """Both run on all cores, and take arguments that come last."""
    make(project, "test", "ARGS=-k elbo -n 0")
    make(project, "test-quick", "ARGS=-x")

    whole, quick = read_calls(project / "python.calls")
    assert whole == f"{PYTEST} -k elbo -n 0"
    assert quick == f"{PYTEST} -m not slow and not external -x"


@pytest.mark.slow("runs make again and again")
@needs_make
@pytest.mark.parametrize(
    "changed", ["pyproject.toml", "client/pyproject.toml", "constraints.txt"]
)
def test_make_installs_again_when_requirements_change(
    project: Path, changed: str
) -> None:
    """A second call installs nothing, unless what decides the packages is newer."""
    make(project, "test")
    assert read_calls(project / "python.calls") == [PYTEST]
    stamp = (project / ".venv" / ".can-test").stat().st_mtime
    os.utime(project / changed, (stamp + 1, stamp + 1))

    make(project, "test", "TORCH_INDEX_URL=https://torch.example")

    assert "-m pip install" in read_calls(project / "python.calls")[1]


@needs_make
def test_make_refuses_an_old_python_in_a_sentence(project: Path) -> None:
    """An interpreter before 3.11 ends the run before anything is installed."""
    uninstall(project)
    old = project / "old"
    old.write_text(
        '#!/bin/sh\ntest "$1" = -V && echo Python 3.9.1 && exit\n'
        f"exec {sys.executable} -c "
        "'import sys; sys.version_info = (3, 9, 1); exec(sys.argv[1])' \"$2\"\n"
    )
    old.chmod(0o755)

    with pytest.raises(subprocess.CalledProcessError) as failure:
        make(project, "serve", f"PYTHON={old}")

    assert "Python 3.11 or newer is needed" in failure.value.stderr
    assert "is Python 3.9.1." in failure.value.stderr
    assert not read_calls(project / "python.calls")


@needs_make
def test_types_are_generated_by_the_test_that_compares_them(project: Path) -> None:
    """So they are those that it asks for."""
    make(project, "types")

    [call] = read_calls(project / "python.calls")
    assert call == "-m pytest tests/client/test_typescript.py -k fresh"


@needs_make
def test_the_tools_of_others_have_an_environment_of_their_own(project: Path) -> None:
    """The tests that need them run with it, and only those."""
    tools = project / ".venv-external"
    fake_program(tools / "bin" / "pip", calls=project)
    (tools / ".installed").touch()
    for name in ("triton", "kserve"):
        folder = project / ".venv-clients" / name
        folder.mkdir(parents=True)
        (folder / ".installed").touch()

    make(project, "test-external")

    [call] = read_calls(project / "python.calls")
    assert call == "-m pytest -m external"


@needs_make
def test_the_frameworks_have_environments_of_their_own(project: Path) -> None:
    """Networks are trained in each of them, and adopted by this one."""
    for name in ("torch", "keras", "jax", "pythae"):
        folder = project / ".venv-frameworks" / name
        folder.mkdir(parents=True)
        (folder / ".installed").touch()

    make(project, "test-frameworks")

    [call] = read_calls(project / "python.calls")
    assert call == "-m pytest -m external tests/external/test_adoption.py"


@needs_make
def test_ray_has_an_environment_of_its_own(project: Path) -> None:
    """With the service in it; the tests are run by this one."""
    folder = project / ".venv-ray"
    folder.mkdir()
    (folder / ".installed").touch()

    make(project, "test-ray")

    [call] = read_calls(project / "python.calls")
    assert call == "-m pytest -m external tests/external/test_ray.py"


def test_git_ignores_every_environment_that_make_makes() -> None:
    """None is listed as new, linted by ruff, or committed by `git add .`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()

    made = {f".venv{name}/" for name in re.findall(r"\$\(VENV\)((?:-\w+)?)", makefile)}

    assert made >= {".venv/", ".venv-ray/"}
    assert [
        name for name in made if not any(fnmatch(name, line) for line in ignored)
    ] == []


@needs_make
def test_the_bill_of_materials_is_of_what_is_installed(project: Path) -> None:
    """CycloneDX gets the service's environment and this project."""
    make(project, "sbom")

    [call] = read_calls(project / "cyclonedx-py.calls")
    assert call.startswith("environment --pyproject pyproject.toml")
    assert call.endswith("--output-file sbom.json .venv/bin/python")


@needs_make
def test_the_pins_are_audited_and_a_finding_fails_the_check(project: Path) -> None:
    """Without installing them; the last thing that `make check` does."""
    make(project, "check")

    [call] = read_calls(project / "pip-audit.calls")
    assert "--requirement constraints.txt --no-deps --disable-pip" in call
    program = project / ".venv-audit" / "bin" / "pip-audit"
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        make(project, "check")


@needs_make
def test_no_way_to_the_vulnerabilities_is_said_and_no_failure(project: Path) -> None:
    """A machine without a network checks all else."""
    program = project / ".venv" / "bin" / "python"
    program.write_text('#!/bin/sh\ntest "$1" != -c\n')

    output = make(project, "check")

    assert "not audited" in output
    assert not read_calls(project / "pip-audit.calls")


def test_ci_runs_what_the_readme_says(tmp_path: Path) -> None:
    """.ci/run is `make check` and `make test` in an environment of its own."""
    calls = fake_program(tmp_path / "bin" / "make")

    run(
        [str(ROOT / ".ci" / "run")],
        PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        XDG_CACHE_HOME=str(tmp_path),
    )

    targets = [call.split()[0] for call in read_calls(calls)]
    assert targets == ["install", "check", "test"]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_health_is_the_status_of_readyz(status: int, healthy: bool) -> None:
    """The check succeeds on 200 alone, on any port, whatever proxies are set."""
    with serving({"/readyz": status}) as port:
        code = ask_health(port)

    assert (code == 0) is healthy


def test_a_dead_server_is_unhealthy() -> None:
    """The check fails where nothing listens."""
    with serving({}) as port:
        pass

    assert ask_health(port) != 0


def compose() -> dict[str, Any]:
    """Return the services of the compose file."""
    text = (ROOT / "docker-compose.yml").read_text()
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what make reads, its environment's Python one that only logs."""
    for name in MAKE_READS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    fake_program(tmp_path / ".venv" / "bin" / "python", calls=tmp_path)
    fake_program(tmp_path / ".venv" / "bin" / "pip", calls=tmp_path)
    for name in STAMPS:
        (tmp_path / ".venv" / name).touch()
    for name in ("cyclonedx-py", "pip-audit"):
        fake_program(tmp_path / ".venv-audit" / "bin" / name, calls=tmp_path)
    (tmp_path / ".venv-audit" / ".installed").touch()
    return tmp_path


def uninstall(project: Path) -> None:
    """Have make find nothing installed in a project."""
    for name in STAMPS:
        (project / ".venv" / name).unlink()


def fake_program(path: Path, *, calls: Path | None = None) -> Path:
    """Write a program that logs its arguments and VAE_* variables; return the log."""
    log = (calls or path.parent) / f"{path.name}.calls"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\n'
        f"env | grep ^VAE_ | sort > {log.with_suffix('.environment')}\nexit 0\n"
    )
    path.chmod(0o755)
    return log


def read_calls(log: Path) -> list[str]:
    """Return the lines of a fake program's log."""
    return log.read_text().splitlines() if log.exists() else []


def run(command: Sequence[str], cwd: Path = ROOT, **environment: str) -> str:
    """Run a command without the VAE_* and make variables of the one that tests."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VAE_", "MAKE", "MFLAGS"))
    }
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def make(project: Path, *words: str, **environment: str) -> str:
    """Call make in a project."""
    return run(["make", *words], cwd=project, **environment)


def ask_health(port: int) -> int:
    """Return the exit status of the health check."""
    _, _, *words = compose()["api"]["healthcheck"]["test"]
    proxy = {"http_proxy": "http://127.0.0.1:1", "VAE_PORT": str(port)}
    return subprocess.run(
        [sys.executable, *words], env=os.environ | proxy, check=False
    ).returncode


@contextmanager
def serving(statuses: dict[str, int]) -> Iterator[int]:
    """Answer GET with a status by path, on a free port, for as long as it is needed."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
