"""
Open and read regular files only, up to a limit of size.

A pipe, a device or a directory where a file is expected is an error at once, so that no
reader blocks on it or reads without end.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path | str, *, directory: int | None = None) -> BinaryIO:
    """
    Open a regular file, or a symbolic link to one, for reading.

    Args:
        directory: Descriptor of the directory that a relative path is relative to.

    Raises:
        OSError: The file does not exist, cannot be opened, or is not regular.
    """
    # Checked before opening too: opening some devices has side effects.
    _check_regular(os.stat(path, dir_fd=directory), path)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags, dir_fd=directory)
    try:
        _check_regular(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(
    path: Path | str, *, max_bytes: int, directory: int | None = None
) -> bytes:
    """
    Return the content of a regular file.

    Raises:
        OSError: As in `open_regular`, or the file has more than `max_bytes` bytes.
    """
    with open_regular(path, directory=directory) as file:
        size = size_of(file)
        if size > max_bytes:
            words = f"expected at most {max_bytes} bytes, got {size}"
            raise OSError(errno.EFBIG, words, str(path))
        return file.read(size)


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def _check_regular(found: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
