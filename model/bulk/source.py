"""The rows of the input: read by the reader of its kind, converted block by block."""

import mmap
from math import prod
from pathlib import Path
from typing import Any, Self, TypeGuard, final

import numpy as np
from numpy.typing import NDArray

from model import files
from model.bulk.conversion import Conversion, ValueOutsideError
from model.config import Config
from model.data import mixed
from model.data.dataset import check_array, refusal
from model.data_config import Data
from model.engine import Array, Engine
from model.engine.support import OutsideSupportError
from model.files import Contents, DataError, ReadOptions, StoredRows

Raw = NDArray[Any]
_CHANNELS_LAST = (0, 2, 3, 1)
_CODES = (".npy", ".npz")  # other files of a table have its cells


@final
class RowSource:
    """
    Rows of a file or of a folder of pictures. Several threads may read it.

    Attributes:
        notes: What the reader has recognized, for the user.
    """

    def __init__(
        self, contents: Contents, conversion: Conversion, row: tuple[int, ...]
    ) -> None:
        self._stored = contents.rows
        self._conversion = conversion
        self.notes = contents.notes
        values, file = self._stored.values, self._stored.origin.file
        check_array(values, self._stored.origin, conversion.raw)
        flat = (prod(row),)
        if values.shape[1:] not in (row, flat):
            shapes = dict.fromkeys((flat, row))
            wanted = " or ".join(f"[N, {', '.join(map(str, s))}]" for s in shapes)
            got = list(values.shape)
            raise DataError(f"{file}: this model needs the shape {wanted}, got {got}")

    @classmethod
    def of_x(cls, path: Path, reading: ReadOptions, engine: Engine) -> Self:
        """Read data, as in a request to the service."""
        vae = engine.checkpoint.vae
        config = vae.config
        reading = reading.as_trained(path, config.data)
        if config.table is not None and path.suffix.lower() not in _CODES:
            contents = _read_cells(path, reading, config)
        else:
            contents = _read(path, reading, config.data)
        return cls(contents, Conversion.to_x(vae), config.data_shape)

    @classmethod
    def of_z(cls, path: Path, reading: ReadOptions, engine: Engine) -> Self:
        """Read latents."""
        contents = _read(path, reading, None)
        row = (engine.config.latent_dim,)
        return cls(contents, Conversion.to_z(), row)

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self._stored.values)

    def raw(self, rows: slice) -> Raw:
        """
        Return raw rows, (n, ...).

        Those of a memory-mapped file are mapped anew, so that the pages of earlier rows
        are not kept in memory.
        """
        values = self._stored.values
        if _is_map(values):
            return _mapped(values, rows)
        base = values.base
        if _is_map(base) and base.ndim == 4:
            turned = base.transpose(_CHANNELS_LAST)
            if (turned.shape, turned.strides) == (values.shape, values.strides):
                return _mapped(base, rows).transpose(_CHANNELS_LAST)
        return values[rows]

    def converted(self, raw: Raw, first: int) -> Array:
        """
        Convert raw rows to float32, (n, D).

        Args:
            first: The index of the first row.

        Raises:
            DataError: A value cannot be used; the message has file and row.
        """
        try:
            return self._conversion.rows(raw)
        except ValueOutsideError as error:
            raise self._refusal(error.index, first, error.why) from error

    def outside(self, error: OutsideSupportError, first: int) -> DataError:
        """Return the error for a value outside the likelihood's support."""
        why = f"expected a value in {error.support}"
        if 0 <= error.value <= 1:
            why += "; --binarize threshold or sample makes gray values binary"
        return self._refusal(error.index, first, why)

    def example(self, row: int) -> str:
        """Name a row: "row 17 of x.npy"."""
        return self._stored.origin.example(int(self._stored.numbers[row]))

    def _refusal(self, index: tuple[int, int], first: int, why: str) -> DataError:
        stored, (row, d) = self._stored, index
        place = (first + row, d)
        return refusal(place, stored.values, stored.origin, stored.numbers, why)


def _read(path: Path, reading: ReadOptions, trained: Data | None) -> Contents:
    contents = files.read_for(path, reading, trained)
    others = [s for s in ("validation", "test") if getattr(contents, s) is not None]
    if not others:
        return contents
    return contents.noting(
        f"{path.name} has rows to train on and to use for {' and '.join(others)}; only"
        " the first are read"
    )


def _read_cells(path: Path, reading: ReadOptions, config: Config) -> Contents:
    """Read a table of mixed kinds as codes, by the names of its columns."""
    read = mixed.read(path, reading, config.table, config.data)
    x = read.rows
    rows = StoredRows(x.x, labels=None, numbers=x.rows, origin=x.origin)
    return Contents(read.name, rows, read.source, notes=read.notes)


def _is_map(values: object) -> TypeGuard[np.memmap[Any, Any]]:
    """Return whether an array is all of a file with a name, memory-mapped."""
    if not isinstance(values, np.memmap):
        return False
    base: object = values.base  # an array, by its declared type
    is_whole = isinstance(base, mmap.mmap) and values.flags.c_contiguous
    return is_whole and values.filename is not None


def _mapped(values: np.memmap[Any, Any], rows: slice) -> Raw:
    row_bytes = values.dtype.itemsize * prod(values.shape[1:])
    return np.memmap(
        str(values.filename),
        dtype=values.dtype,
        mode="c",
        offset=values.offset + rows.start * row_bytes,
        shape=(rows.stop - rows.start, *values.shape[1:]),
    ).view(np.ndarray)
