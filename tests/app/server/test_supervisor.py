"""Several workers end as one process does, with their parent, and leave nothing."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.server.startup import STARTUP_FAILURE
from app.wire import doubles
from tests import plain_http
from tests.app.processes import (
    PYTHON_APP,
    SECONDS,
    counted,
    failed_start,
    process,
    start,
    start_lines,
    until,
    workers,
)

PATIENCE = "600"  # no test waits for a delay of so many seconds

pytestmark = pytest.mark.slow("starts processes")


def settings(checkpoints: Path, **others: str) -> dict[str, str]:
    """Return the environment of a service of two workers."""
    checkpoint = str(checkpoints / "bernoulli")
    return {"VAE_CHECKPOINT": checkpoint, "VAE_WORKERS": "2", **others}


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_to_the_parent_ends_the_delay(
    checkpoints: Path, second: signal.Signals
) -> None:
    """As with one process."""
    with process(settings(checkpoints, VAE_DRAIN_DELAY=PATIENCE)) as (address, running):
        running.send_signal(signal.SIGTERM)
        until(
            lambda: (
                plain_http.get(f"{address}/readyz", timeout=SECONDS).status_code == 503
            )
        )
        running.send_signal(second)
        status = running.wait(SECONDS)

    assert status == 0


def test_ctrl_c_ends_without_the_delay(checkpoints: Path) -> None:
    """A terminal sends SIGINT to the parent and to its workers."""
    with process(settings(checkpoints, VAE_DRAIN_DELAY=PATIENCE)) as (_, running):
        for pid in (running.pid, *workers(running.pid)):
            os.kill(pid, signal.SIGINT)
        status = running.wait(SECONDS)

    assert status == 0


def test_a_parent_that_is_killed_takes_its_workers_with_it(
    checkpoints: Path, tmp_path: Path
) -> None:
    """None answers any more, and the directory of the metrics is gone."""
    with process(settings(checkpoints, TMPDIR=str(tmp_path))) as (address, running):
        family = workers(running.pid)
        there = list(tmp_path.iterdir())
        running.kill()
        running.wait(SECONDS)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))

    assert len(family) == 2
    assert [path.name.rpartition("-")[0] for path in there] == ["vae-metrics"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(httpx.TransportError):
        plain_http.get(f"{address}/livez", timeout=SECONDS)


def test_what_a_killed_family_leaves_the_next_removes(
    checkpoints: Path, tmp_path: Path
) -> None:
    """But not the directory of a service that runs."""
    left = tmp_path / "vae-metrics-left"
    left.mkdir()
    (left / "lock").touch()
    (tmp_path / "vae-metrics-other").mkdir()  # of no process that can be seen

    with process(settings(checkpoints, TMPDIR=str(tmp_path))):
        [mine] = set(tmp_path.iterdir()) - {tmp_path / "vae-metrics-other"}
        with process(settings(checkpoints, TMPDIR=str(tmp_path))):
            is_there = mine.exists()

    assert mine != left
    assert is_there
    assert [path.name for path in tmp_path.iterdir()] == ["vae-metrics-other"]


def test_a_worker_that_dies_is_in_log_and_metrics(checkpoints: Path) -> None:
    """A warning says what it died of, and a counter counts it."""
    with log_of(settings(checkpoints, VAE_LOG_LEVEL="warning")) as (
        address,
        running,
        log,
    ):
        os.kill(workers(running.pid)[0], signal.SIGKILL)
        until(lambda: counted(address, "vae_worker_deaths_total") == 1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 0

    time_ = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    what = r"WARNING app.server.supervisor: worker \d+ was killed by SIGKILL; .*\n"
    assert re.fullmatch(f"{time_} {what}", log.read_text())


@contextmanager
def log_of(
    variables: dict[str, str],
) -> Iterator[tuple[str, subprocess.Popen[str], Path]]:
    """Run a service with its log in a file."""
    path = Path(variables["VAE_CHECKPOINT"]).parent / f"{time.monotonic_ns()}.log"
    with path.open("w") as stderr, process(variables, stderr=stderr) as (at, running):
        yield at, running, path


@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_a_port_in_use_is_said_once(checkpoints: Path, n_workers: str) -> None:
    """One line, status 3, and no model was loaded for it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = failed_start(
            settings(checkpoints, VAE_WORKERS=n_workers, VAE_PORT=str(port))
        )

    assert ended.returncode == STARTUP_FAILURE
    where = f"127.0.0.1 port {port}"
    assert ended.stderr == (
        f"error: cannot listen on {where}: Address already in use; "
        "stop what listens there, or choose another port: --port, VAE_PORT\n"
    )
    assert ended.stdout == ""


@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_the_start_says_what_is_served_how_and_where(
    checkpoints: Path, n_workers: str
) -> None:
    """Checkpoint, networks, compute, processes, and the URL, IPv6 in brackets."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with start(settings(checkpoints, VAE_HOST="::1", VAE_WORKERS=n_workers)) as running:
        assert running.stdout is not None
        first, second, third, fourth, *more, last = start_lines(running.stdout)
        url = last.removeprefix("listening on ")
        model = plain_http.get(f"{url}/model", timeout=SECONDS).json()
        running.send_signal(signal.SIGTERM)
        running.wait(SECONDS)

    sha256 = model["version"]
    assert first.startswith(f"vae-service {model['service_version']}, checkpoint ")
    assert first.endswith(f"/bernoulli (sha256 {sha256})")
    network = "MLP 8 (tanh)"
    assert second == (
        f"encoder {network}, decoder {network}, bernoulli, x [4, 4], z [3]"
    )
    assert third == f"onnx on cpu, threads 1, workers {n_workers}, access keys off"
    assert re.fullmatch(r"memory \d+ MiB; limits of a worker: bodies .*", fourth)
    assert len(more) == (0 if doubles.HAS_SIMDJSON else 1)
    assert re.fullmatch(r"http://\[::1\]:\d+", url)


def test_the_parent_is_light(checkpoints: Path) -> None:
    """It loads neither torch nor a model: a tenth of what a worker needs."""
    with process(settings(checkpoints), command=PYTHON_APP) as (_, running):
        maps = Path(f"/proc/{running.pid}/maps").read_text()

    assert "libtorch" not in maps
