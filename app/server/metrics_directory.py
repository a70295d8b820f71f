"""
The directory in which the workers of one service keep their metrics.

It is in the temporary directory or, where none can be written, in /dev/shm, which
containers with a read-only root have too.

It is removed when the service stops: by the parent, by the workers if the parent was
killed, or, if all were killed together, by the next service that starts. That one
recognizes it by its free lock: the kernel releases the lock of a process that exits.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.server.startup import StartError
from model import staging

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "vae-metrics-"
_LOCK = "lock"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  mkdtemp makes the directory private


@contextmanager
def create() -> Iterator[Path]:
    """
    Create the directory, which the workers find in their environment.

    Raises:
        StartError: No directory can be written.
    """
    parent = _parent()
    _remove_stale(parent)
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


def _parent() -> Path:
    """Return a directory that can be written."""
    with suppress(FileNotFoundError):
        return Path(tempfile.gettempdir())
    if os.access(_SHARED_MEMORY, os.W_OK):
        return _SHARED_MEMORY
    raise StartError(
        "several workers need a directory for their metrics: mount a tmpfs at /tmp, or "
        f"let TMPDIR name a directory that can be written; {_SHARED_MEMORY} cannot"
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
