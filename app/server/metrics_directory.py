"""
The directory in which the workers of one service keep their metrics.

It is where TMPDIR says, if that is set; else in /dev/shm, which containers with a
read-only root have too; else in the temporary directory. The files are memory-mapped:
where others fill their disk, the kernel kills a process that writes to a new page
(SIGBUS). So /dev/shm is preferred, and a directory without room is not used.

It is removed when the service stops: by the parent, by the workers if the parent was
killed, or, if all were killed together, by the next service that starts. That one
recognizes it by its free lock: the kernel releases the lock of a process that exits.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app.server.startup import StartError
from model import staging

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "vae-metrics-"
_LOCK = "lock"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  mkdtemp makes the directory private
_WORKER_BYTES = 1 << 20  # a worker needs 150 KiB after a request of every kind


@contextmanager
def create(n_workers: int) -> Iterator[Path]:
    """
    Create the directory, which the workers find in their environment.

    Raises:
        StartError: No directory can be written, or has room.
    """
    candidates = _candidates()
    for candidate in candidates:
        _remove_stale(candidate)
    parent = _with_room(candidates, n_workers * _WORKER_BYTES)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (directory / _LOCK).open("w") as lock:
            staging.lock_if_possible(lock.fileno())
            os.environ[VARIABLE] = str(directory)
            yield directory
    finally:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(directory, ignore_errors=True)


def remove() -> None:
    """Remove the directory; for a worker whose parent has exited."""
    shutil.rmtree(os.environ[VARIABLE], ignore_errors=True)


def _candidates() -> list[Path]:
    """Return the directories that may be used, the best one first."""
    found = [_SHARED_MEMORY]
    with suppress(FileNotFoundError):
        is_chosen = bool(os.environ.get("TMPDIR"))
        found.insert(0 if is_chosen else 1, Path(tempfile.gettempdir()))
    return found


def _with_room(candidates: Sequence[Path], n_bytes: int) -> Path:
    """Return the first directory that can be written and has room."""
    for directory in candidates:
        with suppress(OSError):
            has_room = shutil.disk_usage(directory).free >= n_bytes
            if has_room and os.access(directory, os.W_OK):
                return directory
    raise StartError(
        f"several workers need a directory with {n_bytes >> 20} MiB for their metrics: "
        "mount a tmpfs at /tmp, or let TMPDIR name a directory that can be written; "
        f"{_SHARED_MEMORY} cannot, or is full"
    )


def _remove_stale(parent: Path) -> None:
    """Remove the directories of this user that no running process owns."""
    for directory in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if staging.try_lock(descriptor):
                    shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(descriptor)
