"""Child processes on one core, which can be frozen while others are measured."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, final

ROOT = Path(__file__).resolve().parent.parent

# Becomes the command once it is pinned; so there is no moment in which it is not. On
# Linux (PR_SET_PDEATHSIG) it ends with the benchmark, should that be killed.
_PINNED = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9)\n"
    "os.sched_setaffinity(0, {int(sys.argv[1])})\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)
_GRACE_SECONDS = 5.0


def cores() -> tuple[int, int]:
    """
    Return the core of the servers and that of the load.

    Raises:
        SystemExit: There is only one.
    """
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    return available[0], available[1]


@final
class Process:
    """A command on one core, in a session of its own, with all its descendants."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int,
        environment: Mapping[str, str],
        log: Path,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-c", _PINNED, str(core), *command],
                cwd=ROOT,
                env=_environment(environment),
                stdin=stdin,
                stdout=subprocess.PIPE if stdin == subprocess.PIPE else output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of the process that was started."""
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        """What the process reads, if it was started with a pipe."""
        assert self._popen.stdin is not None
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """What the process writes, if it was started with a pipe."""
        assert self._popen.stdout is not None
        return self._popen.stdout

    def check_runs(self) -> None:
        """
        Check that it has not ended.

        Raises:
            RuntimeError: It has; the end of its log says why.
        """
        if self._popen.poll() is not None:
            raise RuntimeError(f"it ended with status {self._popen.returncode}:{self}")

    def __str__(self) -> str:
        if self._log.is_fifo():  # it has no writer any more: reading would not end
            return " (its log is not read)"
        return "\n" + self._log.read_text(errors="replace")[-2000:]

    def await_end(self, seconds: float) -> None:
        """
        Wait until it has ended.

        Raises:
            TimeoutExpired: It has not in so many seconds.
        """
        self._popen.wait(seconds)

    def cpu_seconds(self) -> float:
        """Return the processor time that it and its descendants have had."""
        return sum(map(cpu_seconds, self._family()))

    def resident_bytes(self) -> int:
        """Return the memory that it and its descendants have in use."""
        return sum(map(resident_bytes, self._family()))

    def freeze(self) -> None:
        """Stop it and its descendants where they are."""
        _signal_all(self._family(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        _signal_all(self._family(), signal.SIGCONT)

    def end(self) -> None:
        """End it and its descendants, by force if need be."""
        family = self._family()
        self.thaw()
        if self._popen.poll() is None:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(_GRACE_SECONDS)
        deadline = time.monotonic() + _GRACE_SECONDS
        while any(map(_is_alive, family[1:])) and time.monotonic() < deadline:
            time.sleep(0.05)
        _signal_all([pid for pid in family if _is_alive(pid)], signal.SIGKILL)
        with suppress(ProcessLookupError):  # what outlived a parent that had ended
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(_GRACE_SECONDS)

    def _family(self) -> list[int]:
        """Return its id and those of its descendants, parents first."""
        return [] if self._popen.poll() is not None else family(self.pid)


def family(pid: int) -> list[int]:
    """Return the id of a process and those of its descendants, parents first."""
    found = [pid]
    for parent in found:
        found += _children(parent)
    return found


def _environment(additions: Mapping[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("VAE_")}
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**inherited, **threads, "PYTHONPATH": str(ROOT), **additions}


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += map(int, task.read_text().split())
        except OSError:  # it has ended
            continue
    return children


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended
        return 0.0
    user, system = status.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def held_bytes(pid: int) -> int:
    """
    Return the memory that a process alone keeps from others, without pages of files.

    What several processes share counts in parts that add up to the whole.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    sizes = dict(line.split(":", 1) for line in lines[1:])
    return sum(int(sizes[name].split()[0]) << 10 for name in ("Pss_Anon", "Pss_Shmem"))


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has in use."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:  # it has ended
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
