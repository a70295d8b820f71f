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

import httpx

ROOT = Path(__file__).parents[2]
SECONDS = 120  # ends only what hangs: a busy machine takes many
PYTHON_APP = (sys.executable, "-m", "app")
WORKER = b"app.server.worker"  # on the command line of one of several processes
UVICORN = (sys.executable, "-m", "uvicorn", "--factory", "app.main:from_environment")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this environment with these settings and no others."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("VAE_")}
    ours = {"VAE_PORT": "0", "VAE_THREADS": "1", "VAE_DRAIN_DELAY": "0"}
    return {**others, **ours, **settings}


@contextmanager
def process(
    settings: Mapping[str, str],
    *,
    stderr: IO[str] | int | None = None,
    command: tuple[str, ...] = PYTHON_APP,
    cwd: Path = ROOT,
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the service; yield its address and the process, which is ended after."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as running:
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
    command: tuple[str, ...], settings: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Start a service that cannot start."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


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
    return [int(child) for child in children if WORKER in command_line(child)]


def command_line(pid: str) -> bytes:
    """Return how a process was started, nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def counted(address: str, name: str) -> float:
    """Return one of the service's metrics, 0 if it is not there."""
    text = httpx.get(f"{address}/metrics", timeout=SECONDS).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / 100
