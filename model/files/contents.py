"""
The contents of a file: arrays as they are stored, each row traceable to its place.

Errors give the place of a value so that users can find it: rows of an array count from
0 as in NumPy, lines of a CSV file from 1 as in an editor, pictures have file names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """Data that cannot be used; the message has file, row and value."""


@final
class NotANumberError(DataError):
    """A cell of a table of numbers is missing or a text."""


@final
@dataclass(frozen=True)
class ColumnUnit:
    """
    The unit that the numbers of a column have in a file.

    Attributes:
        column: The position of the column among those that are used.
        unit: Such as "kg".
        row: The place of the first number.
    """

    column: int
    unit: str
    row: int


@final
@dataclass(frozen=True)
class Origin:
    """
    Where rows were read from.

    Attributes:
        file: "table.csv", "scores.npz[train]", or the name of a folder of images.
        unit: The word for an example: "row", "line" or "image".
        columns: The names in a table's header, of the columns that are used.
        positions: Where those columns are in the table, if that is not 0, 1, ....
        images: The file names in a folder of images, by row.
        column_units: The units of the columns of a table that have one.
    """

    file: str
    unit: str = "row"
    columns: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    images: tuple[str, ...] = ()
    column_units: tuple[ColumnUnit, ...] = ()

    def example(self, row: int) -> str:
        """Name an example: "row 17 of x.npy"."""
        name = repr(self.images[row]) if self.images else str(row)
        return f"{self.unit} {name} of {self.file}"

    def value(self, row: int, position: Sequence[int]) -> str:
        """Name one value of an example: "line 18 of table.csv, column 'height'"."""
        if self.columns:
            return f"{self.example(row)}, column {self.columns[position[0]]!r}"
        if self.unit == "line":
            column = self.positions[position[0]] if self.positions else position[0]
            return f"{self.example(row)}, column {column + 1}"
        return f"{self.example(row)}, position {list(position)}"


@final
@dataclass(frozen=True, eq=False)
class StoredRows:
    """
    Rows of one array, as they are stored.

    Attributes:
        values: (N, ...), of any dtype.
        labels: One per row, of any dtype; None if there are none.
        numbers: The place of each row in the origin, (N,).
    """

    values: NDArray[Any]
    labels: NDArray[Any] | None
    numbers: Sequence[int] | NDArray[np.int64]
    origin: Origin

    @classmethod
    def of(
        cls,
        values: NDArray[Any],
        origin: Origin,
        *,
        labels: NDArray[Any] | None = None,
    ) -> "StoredRows":
        """Return rows that are numbered from 0."""
        # A range, which takes no memory for the rows of a memory-mapped file.
        return cls(values, labels, range(len(values) if values.ndim else 0), origin)


@final
@dataclass(frozen=True, eq=False)
class Contents:
    """
    The result of a reader: rows, and those splits that the file has.

    Attributes:
        name: The stem of the file, or the name of the folder.
        rows: All rows, or the training rows if the file has splits.
        source: Where the rows came from, the first half of a sentence.
        notes: A sentence for each guess that changes what the rows mean, with the
            option that overrules it.
        background: The x, in [0, 1], behind transparent pixels; None if the rows are
            not of pictures.
        turned_gray: Whether pictures with colors were to be turned gray.
    """

    name: str
    rows: StoredRows
    source: str
    validation: StoredRows | None = None
    test: StoredRows | None = None
    notes: tuple[str, ...] = ()
    background: float | None = None
    turned_gray: bool = False

    def noting(self, *notes: str) -> "Contents":
        """Return the same contents with more notes."""
        return replace(self, notes=(*self.notes, *notes))
