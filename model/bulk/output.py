"""
The output: one .npy or .safetensors file, written in place by several threads.

Rows lie at known places, so they are written in any order, under a temporary name; the
file gets its own name when it is whole.
"""

import errno
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from model import staging

AnyRows = NDArray[Any]
SUFFIXES = (".npy", ".safetensors")
PARTIAL = ".partial"
_SAFETENSORS = {"float16": "F16", "float32": "F32", "float64": "F64"}


@final
@dataclass(frozen=True)
class ArrayLayout:
    """
    One array of the output.

    Attributes:
        row: The shape of a row.
        offset: The place of its first byte, counted from the end of the file's header.
    """

    name: str
    row: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def row_bytes(self) -> int:
        """The size of a row."""
        return prod(self.row) * self.dtype.itemsize


def layouts(
    rows: Mapping[str, AnyRows], dtype: np.dtype[Any] | None, n_rows: int
) -> tuple[ArrayLayout, ...]:
    """
    Return the arrays of an output of `n_rows` rows.

    Args:
        rows: Some rows of each array, which give names, shapes and dtypes.
        dtype: Of the output; that of the rows if None.
    """
    found: list[ArrayLayout] = []
    offset = 0
    for name, values in rows.items():
        one = ArrayLayout(name, values.shape[1:], dtype or values.dtype, offset)
        found.append(one)
        offset += n_rows * one.row_bytes
    return tuple(found)


def header(
    suffix: str, arrays: Sequence[ArrayLayout], n_rows: int, about: Mapping[str, str]
) -> bytes:
    """
    Return the first bytes of a file of one of `SUFFIXES`.

    Args:
        about: Metadata, which only .safetensors can hold.
    """
    if suffix == ".npy":
        [one] = arrays
        file = io.BytesIO()
        shape = (n_rows, *one.row)
        described = {"descr": one.dtype.str, "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, described)
        return file.getvalue()
    document: dict[str, Any] = {"__metadata__": dict(about)}
    for one in arrays:
        document[one.name] = {
            "dtype": _SAFETENSORS[one.dtype.name],
            "shape": [n_rows, *one.row],
            "data_offsets": [one.offset, one.offset + n_rows * one.row_bytes],
        }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


@final
class OutputInUseError(ValueError):
    """Another process is writing the output."""


@final
class OutputFile:
    """
    The file under its temporary name, locked. Several threads may write rows.

    Attributes:
        partial: The path with the temporary name.
    """

    def __init__(self, path: Path, head: bytes) -> None:
        self._path = path
        self._head = head
        self.partial = path.with_name(path.name + PARTIAL)
        self._descriptor = self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    @property
    def size(self) -> int:
        """The size in bytes; 0 if it is new."""
        return os.fstat(self._descriptor).st_size

    def is_of(self, size: int) -> bool:
        """Return whether an earlier run has written the same header and this size."""
        head = os.pread(self._descriptor, len(self._head), 0)
        return self.size == size and head == self._head

    def clear(self, size: int) -> None:
        """
        Remove what an earlier run has written, and reserve the room for all rows.

        Raises:
            OSError: There is not enough room.
        """
        os.ftruncate(self._descriptor, 0)
        try:
            staging.reserve(self._descriptor, size)
        except OSError as error:
            self.partial.unlink()
            what = f"{error.strerror}; {size:,} bytes are needed"
            raise OSError(error.errno, what, str(self.partial)) from error
        _write(self._descriptor, memoryview(self._head), 0)

    def write(self, array: ArrayLayout, first: int, rows: AnyRows) -> None:
        """Write rows, of the dtype of the array, from position `first` on."""
        place = len(self._head) + array.offset + first * array.row_bytes
        whole = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
        with staging.naming(self.partial):
            _write(self._descriptor, whole.data, place)

    def sync(self) -> None:
        """Wait until everything that was written is on disk."""
        with staging.naming(self.partial):
            os.fsync(self._descriptor)

    def publish(self) -> None:
        """Give the file its own name, in place of a file that has it."""
        self.sync()
        self.partial.replace(self._path)
        staging.fsync_directory(self._path.parent)

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            descriptor = os.open(self.partial, flags, 0o666)
            try:
                if not staging.lock_if_possible(descriptor):
                    raise OutputInUseError(
                        f"another process is writing {self._path}: wait for its end, or"
                        " give another --out"
                    )
                # The process that had the lock may have renamed the file since.
                if staging.is_named(descriptor, self.partial):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def _write(descriptor: int, data: memoryview, place: int) -> None:
    while data:
        n = os.pwrite(descriptor, data, place)
        if n == 0:
            raise OSError(errno.EIO, "nothing could be written")
        data, place = data[n:], place + n
