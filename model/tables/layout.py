"""
Where the values of a table's row stand in the tensors of a model.

A row of C columns is C codes outside the model. Inside, x has five numbers for each
column, (..., 5 C), so that a likelihood and an encoder need not know the marginals:

    value      the middle of the cell on the normal axis, or the index of a category
    middle     the middle of the cell's two edges on the normal axis
    log_width  the logarithm of the distance of these edges
    log_share  the logarithm of the cell's probability under the marginal
    known      1 where there is a value

They are planes of C numbers each, all 0 where a cell is missing. The decoder returns
one row of parameters: location and scale of every column with an axis, then the logits
of every other column.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.tables.device_arrays import DeviceArrays
from model.tables.schema import PLANES, TableColumn, TableSchema

_Index = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Planes:
    """The planes of x, (..., C) each."""

    value: Tensor
    middle: Tensor
    log_width: Tensor
    log_share: Tensor
    known: Tensor  # bool

    @classmethod
    def of(cls, x: Tensor) -> "Planes":
        """Take x, (..., 5 C), apart."""
        value, middle, log_width, log_share, known = x.chunk(PLANES, dim=-1)
        return cls(value, middle, log_width, log_share, known > 0)


@final
@dataclass(frozen=True, eq=False)
class TableLayout(DeviceArrays):
    """The positions of columns, as indices on the device that computes."""

    schema: TableSchema

    @cached_property
    def on_axis(self) -> _Index:
        """The columns whose cells are pieces of an axis: numbers, ordered levels."""
        return self._where(lambda column: not column.has_logits)

    @cached_property
    def with_logits(self) -> _Index:
        """The columns with a logit for each category."""
        return self._where(lambda column: column.has_logits)

    @cached_property
    def order(self) -> _Index:
        """Where each column stands in `on_axis` followed by `with_logits`."""
        found: _Index = np.argsort(np.concatenate([self.on_axis, self.with_logits]))
        return found

    @cached_property
    def has_logits(self) -> NDArray[np.bool_]:
        """Whether each column is one of `with_logits`, (C,)."""
        return np.array([column.has_logits for column in self.schema.columns])

    @cached_property
    def n_levels(self) -> _Index:
        """The number of categories of each column of `with_logits`."""
        columns = self.schema.columns
        return np.array([columns[j].n_levels for j in self.with_logits], np.int64)

    @property
    def most_levels(self) -> int:
        """The largest number of categories, and one for an unseen one."""
        return int(self.n_levels.max(initial=0)) + 1

    @cached_property
    def is_level(self) -> NDArray[np.bool_]:
        """Which entries of a padded table of categories exist, (L, most_levels)."""
        found: NDArray[np.bool_] = np.arange(self.most_levels) < self.n_levels[:, None]
        return found

    @cached_property
    def logit(self) -> _Index:
        """The parameter of each entry of a padded table, (L, most_levels)."""
        first = 2 * len(self.on_axis) + np.cumsum(self.n_levels) - self.n_levels
        found: _Index = np.where(
            self.is_level, first[:, None] + np.arange(self.most_levels), 0
        )
        return found

    @cached_property
    def axis_width(self) -> NDArray[np.float64]:
        """The width of a cell of each column of `on_axis`."""
        columns = self.schema.columns
        return np.array([columns[j].width for j in self.on_axis], np.float64)

    @cached_property
    def axis_limits(self) -> NDArray[np.float64]:
        """The smallest and largest code of each column of `on_axis`, (S, 2)."""
        columns = [self.schema.columns[j] for j in self.on_axis]
        return np.array([limits(c) for c in columns], np.float64).reshape(-1, 2)

    @cached_property
    def is_ordinal(self) -> NDArray[np.bool_]:
        """Whether each column of `on_axis` has ordered categories."""
        columns = self.schema.columns
        return np.array([columns[j].has_levels for j in self.on_axis], np.bool_)

    @cached_property
    def n_codes(self) -> _Index:
        """The number of codes of each column with categories, else 0, (C,)."""
        return np.array(
            [
                column.n_levels + (column.kind == "categorical")
                for column in self.schema.columns
            ],
            np.int64,
        )

    @cached_property
    def feature_column(self) -> _Index:
        """The column of each input of the encoder, without the bits of known cells."""
        repeats = np.repeat(self.with_logits, self.n_levels)
        return np.concatenate([self.on_axis, repeats]).astype(np.int64)

    @cached_property
    def feature_level(self) -> NDArray[np.float32]:
        """The category that each input stands for, -1 for a value of an axis."""
        levels = [np.arange(n) for n in self.n_levels]
        on_axis = np.full(len(self.on_axis), -1.0)
        return np.concatenate([on_axis, *levels]).astype(np.float32)

    def _where(self, is_wanted: Callable[[TableColumn], bool]) -> _Index:
        columns = self.schema.columns
        found = [j for j, column in enumerate(columns) if is_wanted(column)]
        return np.array(found, dtype=np.int64)


def limits(column: TableColumn) -> tuple[float, float]:
    """Return the smallest and the largest code of a column with an axis."""
    if column.has_levels:
        return 0.0, column.n_levels - 1.0
    most = float(np.finfo(np.float64).max)
    return (0.0 if column.kind in ("count", "lognormal") else -most), most
