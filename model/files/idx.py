"""The IDX format of MNIST, http://yann.lecun.com/exdb/mnist: bytes -> uint8 array."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.files.contents import DataError

MAX_BYTES = 2**26  # the largest file of MNIST is 47 MB: stops a gzip bomb
_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08


def read(path: Path) -> bytes:
    """
    Return a file's content, uncompressed if it is gzip.

    Raises:
        DataError: The file is missing, truncated, damaged or too large.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
        with gzip.open(path) if zipped else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} holds more than {MAX_BYTES} bytes, too many for MNIST")
    return content


def parse(content: bytes, *, file: str) -> NDArray[np.uint8]:
    """
    Read an array of unsigned bytes, of any number of axes.

    Args:
        file: The name of the content in errors.

    Raises:
        DataError: The magic number is wrong, or the length differs from the header.
    """
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise DataError(
            f"{file} is not an IDX file of unsigned bytes: expected it to start with"
            f" 00 00 08, got {content[:3].hex(' ') or 'nothing'}"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{file}: the IDX header is cut off after {len(content)} bytes")
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{file}: the header promises {shape}, {math.prod(shape)} bytes,"
            f" but {len(content) - start} follow"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
