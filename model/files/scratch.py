"""Arrays for what is read: in memory, or in a temporary file where they are many."""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from model import staging
from model.machine import available_memory

# A quarter of the memory there is: x, the file's own form of it and work on it fit.
_SHARE = 4


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """
    Return an array to be filled; a large one is memory-mapped.

    Its file has no name and is gone with the process. It lies in TMPDIR, or in
    /var/tmp, which unlike /tmp is on a disk.

    Raises:
        OSError: There is no room for the file.
    """
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if n_bytes <= limit():
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=_directory()) as file:
        staging.reserve(file.fileno(), n_bytes)
        return np.memmap(file, dtype=np.dtype(dtype), mode="r+", shape=shape)


@cache
def limit() -> int:
    """Return how many bytes an array in memory may have."""
    return available_memory() // _SHARE


def _directory() -> str | None:
    if os.environ.get("TMPDIR") or not Path("/var/tmp").is_dir():  # noqa: S108
        return None
    return "/var/tmp"  # noqa: S108 the file has no name there
