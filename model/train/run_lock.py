"""A lock that keeps two processes from training in the same directory."""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self, final

from model import staging

_NAME = "lock"
_MAX_BYTES = 300


@final
class RunInUseError(ValueError):
    """Another process is training in the directory."""


@final
class RunLock:
    """
    A lock (flock) on the directory of a run.

    The kernel releases it when the process ends, for whatever reason. The lock file is
    not removed; it has the process id and host of the holder.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def take(self) -> None:
        """
        Make the directory and lock it, if it is not locked by this object already.

        Raises:
            RunInUseError: Another process has locked it; the message names it.
            OSError: The directory cannot be made or written to.
        """
        if self._descriptor is not None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._directory / _NAME, flags, 0o666)
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _lock(self, descriptor: int) -> None:
        if not staging.lock_if_possible(descriptor):
            raise RunInUseError(
                f"{self._directory} is in use by {_holder(descriptor)}: wait for its "
                "end, or give another --out"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)


def _holder(descriptor: int) -> str:
    """Return a description of the process that holds the lock, from the lock file."""
    written = os.pread(descriptor, _MAX_BYTES, 0).decode(errors="replace").split()
    if len(written) != 2 or not written[0].isdecimal():
        return "another process"
    pid, host = written
    here = host == socket.gethostname()
    return f"process {pid}" if here else f"process {pid} on {host!r}"
