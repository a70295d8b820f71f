"""
Create temporary files and directories, and remove those that killed processes left.

A process holds a lock (flock) on what it is writing. The kernel releases the lock when
the process ends, for whatever reason, so a temporary file or directory without a lock
is a leftover. On a file system without such locks, writers go on without them, and
leftovers are not removed.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".partial"


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """
    Make a directory next to `target`, to be renamed to it; remove it at the end.

    If the caller has exchanged it with `target`, the old content is removed.

    Raises:
        OSError: The directory cannot be made.
    """
    staged, descriptor = _make_locked(target, _make_directory)
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def new_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """
    Open a new file next to `target`, to be renamed to it; remove it if it was not.

    Raises:
        OSError: The file cannot be made.
    """
    staged, descriptor = _make_locked(target, _make_file)
    with os.fdopen(descriptor, "wb") as file:
        try:
            yield staged, file
        finally:
            staged.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in errors of the system that do not: a full disk has none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # else it has a text of its own
            error.filename = error.filename or str(path)
        raise


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes have left next to `target`."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}{_SUFFIX}")
    for path in list(target.parent.iterdir()):
        if pattern.fullmatch(path.name):
            _remove_if_left(path)


def try_lock(descriptor: int) -> bool:
    """
    Lock an open file or directory; return False if another process has locked it.

    Raises:
        OSError: The file system has no such locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_if_possible(descriptor: int) -> bool:
    """Lock as `try_lock` does; on a file system without locks, return True."""
    try:
        return try_lock(descriptor)
    except OSError:
        return True


def wait_for_lock(descriptor: int) -> None:
    """Wait until no other process has locked an open file or directory; lock it."""
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def reserve(descriptor: int, n_bytes: int) -> None:
    """
    Give an empty file a size, with the room for it on disk.

    Raises:
        OSError: There is not enough room.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(descriptor, 0, n_bytes)
    else:
        os.ftruncate(descriptor, n_bytes)


def fsync_directory(directory: Path) -> None:
    """
    Wait until the entries of a directory are on disk.

    Raises:
        OSError: The write failed.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_locked(target: Path, make: Callable[[Path], int | None]) -> tuple[Path, int]:
    """Create a file or directory; return its path and a descriptor with its lock."""
    while True:
        staged = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_SUFFIX}")
        descriptor = make(staged)
        if descriptor is None:
            continue
        # Until it is locked it looks like a leftover; another process may remove it.
        if lock_if_possible(descriptor) and is_named(descriptor, staged):
            return staged, descriptor
        os.close(descriptor)


def _make_directory(path: Path) -> int | None:
    path.mkdir(mode=0o700)
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # another process removed it as a leftover
        return None


def _make_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def is_named(descriptor: int, path: Path) -> bool:
    """Return whether an open file or directory has this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _remove_if_left(path: Path) -> None:
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except OSError:  # already removed, or not a kind of file that this module writes
        return
    try:
        if not try_lock(descriptor):
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:  # without locks, it may still be in use
        return
    finally:
        os.close(descriptor)
