"""A data set: rows in memory, in three splits, each row traceable to its file."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from model.data.blocks import blocks, first_outside, map_rows
from model.files import DataError, Origin, scratch
from model.raw_values import PLAIN, RawValues, TwoReadingsError
from model.tables.schema import TableSchema


@final
@dataclass(frozen=True, eq=False)
class Split:
    """
    Rows that are used together: to train, to validate or to test.

    Attributes:
        x: Data in its own units, 8-bit images in [0, 1]; (N, D), C-contiguous. Float64
            unless float32 is exact.
        labels: Classes, never trained on, (N,).
        rows: The index of each example in the origin, (N,).
    """

    x: NDArray[Any]
    labels: NDArray[np.int64] | None
    rows: NDArray[np.int64]
    origin: Origin

    def take(self, index: NDArray[np.int64] | slice) -> "Split":
        """Return the chosen rows, in the order of the index."""
        return Split(
            x=_take(self.x, index),
            labels=None if self.labels is None else self.labels[index],
            rows=self.rows[index],
            origin=self.origin,
        )


@final
@dataclass(frozen=True, eq=False)
class Dataset:
    """
    Data to train on.

    Attributes:
        name: "digits", "mnist", ..., or the stem of the user's file.
        data_shape: (H, W) or (H, W, 3) for images, (D,) for tables.
        raw: How the numbers in the file became x.
        sha256: Of the x of all three splits; identifies the data in a checkpoint.
        source: One sentence: where the data came from and how it was split.
        columns: The names of the values of a row of a table, (D,); () if it has none.
        background: The x behind transparent pixels; None if there are none.
        turned_gray: Whether pictures with colors were to be turned gray.
        notes: A sentence for each guess that changes what the rows mean, with the
            option that overrules it.
        table: The columns of a table of mixed kinds, whose x are codes, NaN where a
            cell is missing; None for other data.
    """

    name: str
    data_shape: tuple[int, ...]
    train: Split
    validation: Split
    test: Split
    raw: RawValues
    sha256: str
    source: str
    columns: tuple[str, ...] = ()
    background: float | None = None
    turned_gray: bool = False
    notes: tuple[str, ...] = ()
    table: TableSchema | None = None

    @property
    def divided_by(self) -> float:
        """What the numbers in the file were divided by to give x."""
        return self.raw.divided_by

    @property
    def column_units(self) -> tuple[str | None, ...] | None:
        """The unit of each value of a row, (D,); None if no column has one."""
        found = {one.column: one.unit for one in self.train.origin.column_units}
        return tuple(map(found.get, range(self.data_shape[0]))) if found else None

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """Return train, validation and test."""
        return self.train, self.validation, self.test

    def locate(self, split: Split, n: int, d: int) -> str:
        """Return the place of split.x[n, d] in its file, as text."""
        position = tuple(int(axis) for axis in np.unravel_index(d, self.data_shape))
        return split.origin.value(int(split.rows[n]), position)


def sha256(splits: Iterable[Split]) -> str:
    """Hash shape, dtype and bytes of every x, in order."""
    digest = hashlib.sha256()
    for split in splits:
        x = split.x.astype(split.x.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{x.shape}{x.dtype.str}".encode())
        digest.update(x.data)
    return digest.hexdigest()


def split_of(
    array: NDArray[Any],
    *,
    origin: Origin,
    labels: NDArray[Any] | None = None,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
    raw: RawValues = PLAIN,
) -> Split:
    """
    Check an array of examples, (N, ...), and flatten its x, (N, D).

    Args:
        raw: How raw values become x; x itself by default.

    Raises:
        DataError: No numbers, no rows or columns, a value that is not finite or outside
            the range, or integers with two readings.
    """
    check_array(array, origin, raw)
    rows = np.asarray(range(len(array)) if rows is None else rows, np.int64)
    x = _x_of(array, raw)
    if (index := first_outside(np.isfinite, x)) is not None:
        raise refusal(index, array, origin, rows, "values must be finite")
    _check_range(x, array, origin, rows, raw)
    return Split(
        x=x,
        labels=None if labels is None else _check_labels(labels, len(x), origin),
        rows=rows,
        origin=origin,
    )


def check_array(array: NDArray[Any], origin: Origin, raw: RawValues) -> None:
    """
    Check that an array can be rows of examples, whatever its values are.

    Raises:
        DataError: No numbers, no rows or columns, or integers with two readings.
    """
    if array.dtype.kind not in "biuf":
        advice = "; numpy.lib.recfunctions.structured_to_unstructured makes them"
        raise DataError(
            f"{origin.file}: expected numbers, got dtype {array.dtype}"
            f"{advice if array.dtype.names else ''}"
        )
    if array.ndim < 2 or array.size == 0:
        one = " (x[:, None] is a column, x[None] a row)" if array.ndim == 1 else ""
        raise DataError(
            f"{origin.file}: expected shape (N, D) or (N, ...) with at least one row"
            f" and one column{one}, got {array.shape}"
        )
    try:
        raw.check_reading(array)
    except TwoReadingsError as error:
        raise DataError(f"{origin.file}: {error}") from error


def _x_of(array: NDArray[Any], raw: RawValues) -> NDArray[Any]:
    """Return x, (N, D), with float32 for float64 that it holds exactly."""
    dtype = raw.convert(array[:1]).dtype
    is_x = array.dtype == dtype and array.flags.c_contiguous
    if dtype == np.float64 and first_outside(_is_single, array) is None:
        dtype = np.dtype(np.float32)
    elif is_x and array.nbytes > scratch.limit():
        return array.reshape(len(array), -1)  # memory-mapped as it is
    return map_rows(lambda block, _: raw.convert(block), array, dtype)


def _is_single(block: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which numbers float32 holds exactly; not those that are not finite."""
    with np.errstate(over="ignore"):
        single = block.astype(np.float32)
    same: NDArray[np.bool_] = (single == block) & np.isfinite(single)
    return same


def _take(x: NDArray[Any], index: NDArray[np.int64] | slice) -> NDArray[Any]:
    """Return the chosen rows; a slice is a view."""
    if isinstance(index, slice) or len(index) * x[0].nbytes <= scratch.limit():
        return x[index]
    found = scratch.empty((len(index), x.shape[1]), x.dtype)
    for rows in blocks(found):
        found[rows] = x[index[rows]]
    return found


def _check_range(
    x: NDArray[Any],
    array: NDArray[Any],
    origin: Origin,
    rows: NDArray[np.int64],
    raw: RawValues,
) -> None:
    for block in blocks(x):
        outside = raw.first_outside(x[block].reshape(-1))
        if outside is not None:
            low, high = raw.value_range or (0, 0)
            why = f"expected a value in [{low:g}, {high:g}]"
            cause = raw.likely_cause(x.reshape(-1))
            row, d = divmod(outside, x.shape[1])
            index = (block.start + row, d)
            what = f"{why}; {cause}" if cause else why
            raise refusal(index, array, origin, rows, what)


def refusal(
    index: tuple[int, ...],
    array: NDArray[Any],
    origin: Origin,
    rows: Sequence[int] | NDArray[np.int64],
    why: str,
) -> DataError:
    """Return the error for the value at an index of x, (N, D), with its place."""
    flat = int(np.ravel_multi_index(index, (len(array), array[0].size)))
    first = np.unravel_index(flat, array.shape)
    row, *position = (int(axis) for axis in first)
    place = origin.value(int(rows[row]), tuple(position))
    return DataError(f"{place} holds {array[first]}; {why}")


def _check_labels(labels: NDArray[Any], n: int, origin: Origin) -> NDArray[np.int64]:
    if labels.dtype.kind not in "biu" or labels.shape != (n,):
        raise DataError(
            f"the labels of {origin.file}: expected {n} integers, shape ({n},),"
            f" got {labels.dtype} of shape {labels.shape}"
        )
    return labels.astype(np.int64)
