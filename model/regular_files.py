"""
Read regular files only, and never more than was asked for.

A pipe, a device or a directory in the place of a file is an error at once; no reader
waits for it or reads it without an end.
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
        directory: A descriptor of the directory that a relative path starts from.

    Raises:
        OSError: There is no such file, it cannot be opened, or it is not regular.
    """
    # Checked before it is opened too: opening some devices has an effect.
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
        OSError: As `open_regular`, or the file has more than `max_bytes` bytes.
    """
    with open_regular(path, directory=directory) as file:
        size = size_of(file)
        if size > max_bytes:
            words = f"expected at most {max_bytes} bytes, got {size}"
            raise OSError(errno.EFBIG, words, str(path))
        return file.read(size)


def size_of(file: BinaryIO) -> int:
    """Return how many bytes an open file has."""
    return os.fstat(file.fileno()).st_size


def _check_regular(found: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
