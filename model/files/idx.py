"""The IDX format of MNIST, http://yann.lecun.com/exdb/mnist: bytes -> uint8 array."""

import gzip
import math
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.files import labels
from model.files.contents import Contents, DataError, Origin, StoredRows
from model.files.layout import channels_last
from model.files.options import ReadOptions

MAX_BYTES = 2**26  # the largest file of MNIST is 47 MB: stops a gzip bomb
SUFFIXES = ("-ubyte", ".ubyte", ".idx")
_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08


def is_idx(path: Path) -> bool:
    """Return whether a file has a name such as train-images-idx3-ubyte.gz."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def read_file(path: Path, options: ReadOptions) -> Contents:
    """
    Read an array of unsigned bytes, with the labels of the file beside it.

    The labels of images-idx3 are in labels-idx1; without that file there are none.

    Raises:
        DataError: It is not an IDX file of unsigned bytes.
    """
    x = parse(_content(path, None), file=path.name)
    x_laid_out, note = channels_last(x, options.layout, file=path.name)
    notes = [note] if note else []
    rows = StoredRows.of(x_laid_out, Origin(path.name))
    if (other := _labels_of(path)) is not None:
        y = parse(_content(other, None), file=other.name)
        found, note = labels.classes(y, n=len(x), name=other.name)
        rows = replace(rows, labels=found)
        notes.append(note or f"the labels are those of {other.name}")
    return Contents(
        path.name.partition(".")[0],
        rows,
        f"the array in {path.name}",
        notes=tuple(notes),
    )


def _labels_of(path: Path) -> Path | None:
    name = re.sub("images([-.])idx3", r"labels\1idx1", path.name)
    plain = name.removesuffix(".gz")
    beside = (path.with_name(other) for other in (name, plain, f"{plain}.gz"))
    return next((p for p in beside if p.name != path.name and p.is_file()), None)


def read(path: Path) -> bytes:
    """
    Return the content of a file of MNIST, uncompressed if it is gzip.

    Raises:
        DataError: The file is missing, truncated, damaged or too large.
    """
    return _content(path, MAX_BYTES)


def _content(path: Path, max_bytes: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
        with gzip.open(path) if zipped else path.open("rb") as file:
            content = file.read(-1 if max_bytes is None else max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if max_bytes is not None and len(content) > max_bytes:
        raise DataError(f"{path} holds more than {max_bytes} bytes, too many for MNIST")
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
