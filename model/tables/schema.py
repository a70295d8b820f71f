"""
The columns of a table, and the codes that stand for their cells.

A code is a float64: the number itself, the index of a category, NaN for a missing cell.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Annotated, Literal, Self, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from model.section import Section
from model.tables.cells import (
    Cell,
    canonical,
    is_missing,
    is_missing_number,
    is_truth,
    number_of,
    round_number,
)
from model.tables.refusals import refusal

Codes = NDArray[np.float64]
Kind = Literal[
    "numeric",
    "real",
    "student",
    "lognormal",
    "count",
    "ordinal",
    "binary",
    "categorical",
]

PLANES = 5  # the numbers of a cell inside the model, see `model.tables.layout`
LOG_SHARE = 3  # the plane with the log probabilities of cells under the marginals
MAX_CATEGORIES = 1000
MAX_KNOTS = 1 << 20
_KINDS_OF_LEVELS = ("ordinal", "binary", "categorical")


@final
class CellError(ValueError):
    """
    A cell that its column cannot have.

    Attributes:
        row: The index of the cell among those that were given.
    """

    def __init__(self, column: str, row: int, what: str) -> None:
        super().__init__(f"row {row}, column {column!r}: {what}")
        self.column, self.row, self.what = column, row, what


@final
class LeftOut(Section):
    """
    A column of the training file that the model does not have.

    Attributes:
        name: The name of the column.
        why: Why training left it out.
    """

    name: str
    why: str


@final
class TableColumn(Section):
    """
    One column of a table.

    Attributes:
        name: The name of the column.
        kind: How the column is distributed, see `docs/tables.md`.
        resolution: The width of a cell of numbers: 0.1 for numbers with one decimal.
            Null for categories.
        categories: The values of a column of categories, in the order of their codes.
            Null for numbers.
        why: Why training chose this kind.
    """

    name: Annotated[str, Field(min_length=1)]
    kind: Kind
    resolution: Annotated[float, Field(gt=0)] | None = None
    categories: (
        Annotated[tuple[bool | int | float | str, ...], Field(min_length=1)] | None
    ) = None
    why: str = ""

    @property
    def has_levels(self) -> bool:
        """Whether cells are categories, not numbers."""
        return self.kind in _KINDS_OF_LEVELS

    @property
    def has_logits(self) -> bool:
        """Whether each category has a logit; ordered ones are cut from one axis."""
        return self.kind in ("binary", "categorical")

    @property
    def n_levels(self) -> int:
        """The number of categories; 0 for numbers."""
        return len(self.categories or ())

    @property
    def width(self) -> float:
        """The width of a cell in codes."""
        return 1.0 if self.resolution is None else self.resolution

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.has_levels != (self.categories is not None):
            raise ValueError(
                f"column {self.name!r}: expected categories exactly for a column of"
                f" {', '.join(_KINDS_OF_LEVELS)}, got the kind {self.kind}"
            )
        if self.has_levels != (self.resolution is None):
            raise ValueError(
                f"column {self.name!r}: expected a resolution exactly for a column of"
                f" numbers, got {self.resolution} for the kind {self.kind}"
            )
        n = self.n_levels
        if len(self._levels) < n:
            raise ValueError(f"column {self.name!r}: categories must be distinct")
        if n > MAX_CATEGORIES or (self.kind == "binary" and n != 2):
            wanted = "2" if self.kind == "binary" else f"at most {MAX_CATEGORIES}"
            raise ValueError(
                f"column {self.name!r}: expected {wanted} categories, got {n}"
            )
        if self.kind == "count" and self.resolution != 1:
            raise ValueError(f"column {self.name!r}: a count has the resolution 1")
        return self

    @cached_property
    def _levels(self) -> dict[str, int]:
        return {canonical(c): i for i, c in enumerate(self.categories or ())}

    @cached_property
    def _are_words(self) -> bool:
        return all(isinstance(c, str) for c in self.categories or ())

    @cached_property
    def n_decimals(self) -> int:
        """How many decimals a number of this column is shown with."""
        wanted = -np.log10(self.width)
        return max(0, int(np.ceil(wanted - 1e-9)))

    def code(self, cell: Cell, *, unseen: bool) -> float | None:
        """Return the code of a cell, None if the column cannot have it."""
        level = self._level(cell) if self.has_levels else None
        if level is not None:
            return float(level)
        if not self.has_levels:
            return float("nan") if is_missing_number(cell) else number_of(cell)
        if is_missing(cell):
            return float("nan")
        is_unseen = unseen and self.kind == "categorical"
        return float(self.n_levels) if is_unseen else None

    def _level(self, cell: Cell) -> int | None:
        """Return the index of the category that a cell is, in any way to write it."""
        level = self._levels.get(canonical(cell))
        if level is not None or self._are_words or cell is None:
            return level
        if isinstance(cell, str) and is_truth(cell):
            return self._levels.get(cell.strip().lower())
        number = number_of(cell)
        if number is None:
            return None
        level = self._levels.get(canonical(number))
        if level is None and number in (0, 1):
            level = self._levels.get(canonical(bool(number)))
        return level

    def cells(self, codes: Sequence[float]) -> list[bool | int | float | str | None]:
        """Return the cells of codes; None without a value or for an unseen one."""
        if self.categories is not None:
            levels = (*self.categories, None)
            return [None if math.isnan(c) else levels[int(c)] for c in codes]
        n_decimals = None if self.width >= 1 else self.n_decimals
        return [round_number(c, n_decimals) for c in codes]


@final
class TableSchema(Section):
    """
    The columns of a table.

    Attributes:
        columns: In the order of the codes of a row.
        left_out: Columns of the training file that the model does not have.
        n_knots: The length of the stored marginals, 0 before training.
    """

    columns: Annotated[tuple[TableColumn, ...], Field(min_length=1)]
    left_out: tuple[LeftOut, ...] = ()
    n_knots: Annotated[int, Field(ge=0, le=MAX_KNOTS)] = 0

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [*self.names, *(column.name for column in self.left_out)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"expected distinct names, got {twice[0]!r} twice")
        return self

    @property
    def x_width(self) -> int:
        """The length of a row inside the model, see `model.tables.layout`."""
        return PLANES * len(self.columns)

    @property
    def n_features(self) -> int:
        """The number of inputs of the encoder."""
        per_column = (c.n_levels if c.has_logits else 1 for c in self.columns)
        return sum(per_column) + len(self.columns)

    @property
    def n_parameters(self) -> int:
        """The number of parameters that the decoder returns for a row."""
        return sum(c.n_levels if c.has_logits else 2 for c in self.columns)

    @property
    def n_values(self) -> int:
        """The size of the largest array for one row."""
        levels = [c.n_levels for c in self.columns if c.has_logits]
        padded = len(levels) * (max(levels, default=0) + 1)
        return max(self.x_width, self.n_features, self.n_parameters, padded)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def _by_name(self) -> dict[str, TableColumn]:
        return {column.name: column for column in self.columns}

    def column(self, name: str) -> TableColumn:
        """
        Return a column by its name.

        Raises:
            KeyError: There is none.
        """
        return self._by_name[name]

    def codes(self, name: str, cells: Sequence[Cell], *, unseen: bool = False) -> Codes:
        """
        Return the codes of cells of one column, (N,), NaN where they are missing.

        Missing are None, NaN, and the texts that `is_missing` knows.

        Args:
            unseen: Whether an unknown category gets the code of an unseen one, for a
                categorical column.

        Raises:
            KeyError: There is no such column.
            CellError: A cell is not a number, or an unknown category.
        """
        column = self.column(name)
        codes = np.empty(len(cells))
        for row, cell in enumerate(cells):
            code = column.code(cell, unseen=unseen)
            if code is None:
                known = column.categories if column.has_levels else None
                raise CellError(name, row, refusal(cell, known))
            codes[row] = code
        return codes

    def cells(
        self, name: str, codes: Iterable[float]
    ) -> list[bool | int | float | str | None]:
        """
        Return the cells that codes of one column stand for, None where NaN.

        Raises:
            KeyError: There is no such column.
        """
        return self.column(name).cells(np.asarray(codes, np.float64).tolist())

    def describe(self) -> tuple[str, ...]:
        """Return a line on each column, and on each that was left out."""
        return (
            *(f"{c.name}: {c.kind}, {c.why}" for c in self.columns),
            *(f"{c.name}: left out, {c.why}" for c in self.left_out),
        )
