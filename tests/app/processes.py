"""The service as a process: start it, wait for it, look at it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests import plain_http
from tests.warm_start import WarmPopen

ROOT = Path(__file__).parents[2]
SECONDS = 120  # ends only what hangs: a busy machine takes many
PYTHON_APP = (sys.executable, "-m", "app")  # given as a command, a real start
WARM_FAMILY = (sys.executable, "-m", "tests.app.warm_family")
_OURS = ("TMPDIR", "STALL_SECONDS", "WATCHDOG_SECONDS")  # the two of benchmarks.faulty
WORKER = "app.server.worker"  # in the command line of one of several processes
UVICORN = (sys.executable, "-m", "uvicorn", "--factory", "app.main:from_environment")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with these settings and no others."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("VAE_")}
    ours = {"VAE_PORT": "0", "VAE_THREADS": "1", "VAE_DRAIN_DELAY": "0"}
    return {**others, **ours, **settings}


def start(
    settings: Mapping[str, str],
    *,
    stdout: IO[str] | int | None = subprocess.PIPE,
    stderr: IO[str] | int | None = None,
    command: tuple[str, ...] | None = None,
    module: str = "app",
    cwd: Path = ROOT,
) -> subprocess.Popen[str]:
    """
    Start the service.

    Without a command it is a warm start of the module, unless a library reads one of
    the settings while it is imported. So it is with `UVICORN`. With `PYTHON_APP` it is
    a real one.
    """
    kind: type[subprocess.Popen[str]] = subprocess.Popen
    is_real = sys.platform != "linux" or not all(map(_is_read_late, settings))
    if command in (None, UVICORN) and not is_real:
        is_alone = settings.get("VAE_WORKERS", "1") == "1"
        kind = WarmPopen
        module_alone = (sys.executable, "-m", module)
        command = command or (module_alone if is_alone else WARM_FAMILY)
    return kind(
        command or PYTHON_APP,
        cwd=cwd,
        env=environment(settings),
        stdout=stdout,
        stderr=stderr,
        text=True,
    )


def _is_read_late(name: str) -> bool:
    """Return whether no library of a warm start reads a setting in its import."""
    return name.startswith(("VAE_", "OTEL_")) or name in _OURS


@contextmanager
def process(
    settings: Mapping[str, str],
    *,
    stderr: IO[str] | int | None = None,
    command: tuple[str, ...] | None = None,
    module: str = "app",
    cwd: Path = ROOT,
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the service; yield its address and the process, which is ended after."""
    started = start(settings, stderr=stderr, command=command, module=module, cwd=cwd)
    with started as running:
        try:
            assert running.stdout is not None
            *_, line = start_lines(running.stdout)
            yield line.removeprefix("listening on "), running
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(SECONDS)


def start_lines(stdout: IO[str]) -> list[str]:
    """Return what a service says at its start, to where it listens."""
    lines: list[str] = []
    while not lines or not lines[-1].startswith("listening on "):
        line = stdout.readline()
        assert line, lines
        lines.append(line.removesuffix("\n"))
    return lines


def failed_start(
    settings: Mapping[str, str], command: tuple[str, ...] | None = None
) -> subprocess.CompletedProcess[str]:
    """Start a service that cannot start."""
    with start(settings, stderr=subprocess.PIPE, command=command) as running:
        try:
            stdout, stderr = running.communicate(timeout=SECONDS)
        finally:
            running.kill()
    return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)


def health_of_socket(path: Path) -> int:
    """Return the status of the health check for a service on a Unix socket."""
    return subprocess.run(
        (sys.executable, "-m", "app.server.healthcheck"),
        cwd=ROOT,
        env=environment({"VAE_UDS": str(path)}),
        timeout=SECONDS,
        check=False,
    ).returncode


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers(pid: int) -> list[int]:
    """Return the ids of a supervisor's workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if is_worker(child)]


def is_worker(pid: str) -> bool:
    """Return whether a process was started to serve, and has not ended."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
    return command != "" and (WORKER in command or name == WORKER[:15])


def counted(address: str, name: str) -> float:
    """Return one of the service's metrics, 0 if it is not there."""
    text = plain_http.get(f"{address}/metrics", timeout=SECONDS).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / 100
