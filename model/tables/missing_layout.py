"""Where the numbers of columns that can be missing are, in the tensors of a model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.tables.device_arrays import DeviceArrays
from model.tables.missing_sets import MissingSet, edges
from model.tables.schema import TableSchema

_Index = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class MissingLayout(DeviceArrays):
    """
    The positions of sets and patterns in the tensors of a model, padded.

    There are B sets, at most K patterns and G groups, and C' columns that can be
    missing.
    """

    schema: TableSchema
    sets: tuple[MissingSet, ...]

    @cached_property
    def columns(self) -> _Index:
        """The columns that can be missing, set after set, (C',)."""
        names = [name for one in self.sets for name in one.columns]
        return np.array([self.schema.names.index(name) for name in names], np.int64)

    @cached_property
    def set_of(self) -> _Index:
        """The set of each of these columns, (C',)."""
        return np.repeat(np.arange(len(self.sets)), [len(s.columns) for s in self.sets])

    @cached_property
    def is_missing(self) -> NDArray[np.bool_]:
        """Whether each of these columns is missing in each pattern, (C', K)."""
        found = np.zeros((len(self.columns), int(self.n_patterns.max())), np.bool_)
        names = (name for one in self.sets for name in one.columns)
        for i, (name, b) in enumerate(zip(names, self.set_of, strict=True)):
            patterns = self.sets[b].patterns
            found[i, : len(patterns)] = [name in pattern for pattern in patterns]
        return found

    @cached_property
    def n_patterns(self) -> _Index:
        """The number of patterns of each set, (B,)."""
        return np.array([len(one.patterns) for one in self.sets], np.int64)

    @property
    def n_outputs(self) -> int:
        """The number of patterns of all sets."""
        return int(self.n_patterns.sum())

    @cached_property
    def is_pattern(self) -> NDArray[np.bool_]:
        """Which entries of a padded table of patterns exist, (B, K)."""
        found: NDArray[np.bool_] = (
            np.arange(self.n_patterns.max()) < self.n_patterns[:, None]
        )
        return found

    @cached_property
    def output(self) -> _Index:
        """The output of the network for each entry of a padded table, (B, K)."""
        first = np.cumsum(self.n_patterns) - self.n_patterns
        found: _Index = np.where(
            self.is_pattern, first[:, None] + np.arange(self.is_pattern.shape[1]), 0
        )
        return found

    @cached_property
    def given(self) -> _Index:
        """The column whose groups each set is given, (B,); any without groups."""
        names = self.schema.names
        found = [0 if s.given is None else names.index(s.given) for s in self.sets]
        return np.array(found, np.int64)

    @property
    def shape(self) -> tuple[int, int, int]:
        """B, G and K."""
        n_sets, n_edges = self.edges.shape
        return n_sets, n_edges + 1, self.is_pattern.shape[1]

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """The codes between the groups of each set, ascending, then inf, (B, G - 1)."""
        every = list(self._edges())
        most = max(map(len, every))
        padded = [
            np.pad(e, (0, most - len(e)), constant_values=math.inf) for e in every
        ]
        return np.stack(padded)

    def _edges(self) -> Iterator[NDArray[np.float64]]:
        for one in self.sets:
            if one.given is None:
                yield np.empty(0)
            else:
                yield edges(self.schema.column(one.given), one.cuts)
