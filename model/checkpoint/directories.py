"""
Replace a directory atomically, and open the current one.

If the system can exchange two names in one step (Linux, `renameat2`), a checkpoint
exists under its name at every moment. On other systems the old one is first renamed to
a name that readers and the next writer know.
"""

import ctypes
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from model import staging

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_TRIES = 10


def write_directory(directory: Path, files: Mapping[str, bytes]) -> None:
    """
    Write files into a new directory and move it to its name in one step.

    What killed writers have left next to it is removed.

    Raises:
        OSError: Writing failed; an existing directory is unchanged.
    """
    with staging.naming(directory), replacement(directory) as staged:
        for name, content in files.items():
            with (staged / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def replacement(directory: Path) -> Iterator[Path]:
    """
    Yield a new directory to fill, and then move it to its name in one step.

    What killed writers have left next to it is removed.

    Raises:
        OSError: Writing failed; an existing directory is unchanged.
    """
    directory = directory.resolve()  # replace the target of a link, not the link
    _expect_directory_or_nothing(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    _recover(directory)
    staging.remove_leftovers(directory)
    with staging.new_directory(directory) as staged:
        yield staged
        staged.chmod(0o755)  # a server may run as another user
        staging.fsync_directory(staged)
        _put_in_place(staged, directory)
        staging.fsync_directory(directory.parent)


@contextmanager
def open_directory(directory: Path) -> Iterator[int]:
    """
    Yield a descriptor of a directory, or of the one that a killed writer set aside.

    Files that are opened through it belong to this directory, even if it is replaced.

    Raises:
        OSError: The directory does not exist or cannot be opened.
    """
    descriptor = _open(directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_replaced(descriptor: int, directory: Path) -> bool:
    """Return whether another directory now has the name of an open one."""
    try:
        with open_directory(directory) as now:
            return not os.path.samestat(os.fstat(descriptor), os.fstat(now))
    except OSError:
        return False


def _expect_directory_or_nothing(directory: Path) -> None:
    try:
        mode = directory.stat().st_mode  # once: another writer may be replacing it
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(f"{directory}: expected a directory or nothing there")


def _open(directory: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    # A writer may set the old one aside before the first look, and put the new one in
    # place before the second.
    for path in (directory, _set_aside(directory.resolve())):
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            continue
    return os.open(directory, flags)


def _set_aside(directory: Path) -> Path:
    """Return the name of the old directory while it is replaced in two steps."""
    return directory.with_name(f".{directory.name}.previous")


def _recover(directory: Path) -> None:
    """Restore or remove a directory that a killed writer set aside."""
    previous = _set_aside(directory)
    if not previous.is_dir():
        return
    with _lock(directory.parent):
        if not directory.exists() and previous.is_dir():
            previous.rename(directory)
        else:
            shutil.rmtree(previous, ignore_errors=True)


def _put_in_place(staged: Path, directory: Path) -> None:
    """Rename to the name of a directory; an old one gets the staged name."""
    for _ in range(_TRIES):
        try:
            if _try_exchange(staged, directory):
                return
            if directory.exists():
                _replace_in_two_steps(staged, directory)
            else:
                staged.rename(directory)
            return
        except OSError as error:
            # Another writer was faster, or a directory has been removed.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
    raise OSError(errno.EBUSY, "other processes keep replacing it", str(directory))


def _try_exchange(one: Path, other: Path) -> bool:
    """
    Exchange two names in one step; return False if the system cannot do that.

    Raises:
        OSError: The exchange failed.
    """
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None or not other.exists():
        return False
    paths = (os.fsencode(one), os.fsencode(other))
    if rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _replace_in_two_steps(staged: Path, directory: Path) -> None:
    previous = _set_aside(directory)
    with _lock(directory.parent):
        shutil.rmtree(previous, ignore_errors=True)
        directory.rename(previous)
        try:
            staged.rename(directory)
        except OSError:
            previous.rename(directory)
            raise
        previous.rename(staged)  # so that it is removed with the temporary directory


@contextmanager
def _lock(parent: Path) -> Iterator[None]:
    """Wait until no other process replaces a directory here in two steps."""
    descriptor = os.open(parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        staging.wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)
