"""A data set: rows in memory, in three splits, each row traceable to its file."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from model.files import DataError, Origin


@final
@dataclass(frozen=True, eq=False)
class Split:
    """
    Rows that are used together: to train, to validate or to test.

    Attributes:
        x: Data in its own units, 8-bit images in [0, 1]; (N, D), C-contiguous.
        labels: Classes, never trained on, (N,).
        rows: The index of each example in the origin, (N,).
    """

    x: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    rows: NDArray[np.int64]
    origin: Origin

    def take(self, index: NDArray[np.int64] | slice) -> "Split":
        """Return the chosen rows, in the order of the index."""
        return Split(
            x=self.x[index],
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
        divided_by: The numbers in the file were divided by this to give x.
        sha256: Of the x of all three splits; identifies the data in a checkpoint.
        source: One sentence: where the data came from and how it was split.
        columns: The names of the values of a row of a table, (D,); () if it has none.
        background: The x behind transparent pixels; None if there are none.
        notes: A sentence for each guess that changes what the rows mean, with the
            option that overrules it.
    """

    name: str
    data_shape: tuple[int, ...]
    train: Split
    validation: Split
    test: Split
    divided_by: float
    sha256: str
    source: str
    columns: tuple[str, ...] = ()
    background: float | None = None
    notes: tuple[str, ...] = ()

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
        x = split.x.astype("<f4", copy=False)
        digest.update(f"{x.shape}{x.dtype.str}".encode())
        digest.update(x.data)
    return digest.hexdigest()


def split_of(
    array: NDArray[Any],
    *,
    origin: Origin,
    labels: NDArray[Any] | None = None,
    rows: NDArray[np.int64] | None = None,
    divide_by: float = 1.0,
) -> Split:
    """
    Check an array of examples, (N, ...), and flatten it to float32, (N, D).

    Raises:
        DataError: No numbers, no rows or columns, or a value not finite in float32.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(f"{origin.file}: expected numbers, got dtype {array.dtype}")
    if array.ndim < 2 or array.size == 0:
        raise DataError(
            f"{origin.file}: expected shape (N, D) or (N, ...) with at least one row"
            f" and one column, got {array.shape}"
        )
    if rows is None:
        rows = np.arange(len(array))
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        x = array.astype(np.float32, order="C")
    if not (finite := np.isfinite(x)).all():
        first = np.unravel_index(np.argmin(finite), x.shape)
        row, *position = (int(axis) for axis in first)
        raise DataError(
            f"{origin.value(int(rows[row]), tuple(position))} holds {array[first]};"
            f" values must be finite and at most {np.finfo(np.float32).max:.3g} in size"
        )
    x /= np.float32(divide_by)
    return Split(
        x=x.reshape(len(x), -1),
        labels=None if labels is None else _check_labels(labels, len(x), origin),
        rows=rows,
        origin=origin,
    )


def _check_labels(labels: NDArray[Any], n: int, origin: Origin) -> NDArray[np.int64]:
    if labels.dtype.kind not in "biu" or labels.shape != (n,):
        raise DataError(
            f"the labels of {origin.file}: expected {n} integers, shape ({n},),"
            f" got {labels.dtype} of shape {labels.shape}"
        )
    return labels.astype(np.int64)
