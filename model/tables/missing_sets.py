"""Which columns can be missing, which of them together, and where their numbers are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from model.section import Section
from model.tables.device_arrays import DeviceArrays
from model.tables.schema import TableColumn, TableSchema

MAX_PATTERNS, MAX_GROUPS = 64, 64

_Index = NDArray[np.int64]


@final
class MissingSet(Section):
    """
    Columns that are missing together or in turn.

    Attributes:
        columns: Their names.
        patterns: The columns that are missing together in a row, for each case that
            training rows have; () where none is.
        given: A column that is never missing in training, and tells most about the
            pattern; null if none does.
        cuts: Groups of the numbers of `given`: a number belongs to the first cut that
            it does not exceed. Empty for categories, each of which is a group.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    patterns: Annotated[
        tuple[tuple[str, ...], ...], Field(min_length=1, max_length=MAX_PATTERNS)
    ]
    given: str | None = None
    cuts: Annotated[tuple[float, ...], Field(max_length=MAX_GROUPS - 1)] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        known = set(self.columns)
        named = [name for pattern in self.patterns for name in pattern]
        if len(known) < len(self.columns) or set(named) != known:
            raise ValueError(
                f"expected patterns of all of the distinct columns {self.columns}"
            )
        if len({frozenset(one) for one in self.patterns}) < len(self.patterns):
            raise ValueError(f"expected distinct patterns of {self.columns}")
        if list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError(f"expected ascending cuts, got {self.cuts}")
        return self

    def check_for(self, schema: TableSchema) -> None:
        """
        Check that the columns exist, and that `given` has the groups.

        Raises:
            ValueError: They do not.
        """
        unknown = {*self.columns, *filter(None, [self.given])} - set(schema.names)
        if unknown:
            raise ValueError(f"missing: there is no column {min(unknown)!r}")
        column = None if self.given is None else schema.column(self.given)
        wants_cuts = column is not None and not column.has_logits
        if wants_cuts != bool(self.cuts):
            raise ValueError(f"missing: {self.given!r} does not fit cuts {self.cuts}")
        if column is not None and column.has_logits and column.n_levels > MAX_GROUPS:
            raise ValueError(f"missing: {self.given!r} has over {MAX_GROUPS} groups")


def check_missing(sets: tuple[MissingSet, ...], schema: TableSchema | None) -> None:
    """
    Check the sets of a configuration.

    Raises:
        ValueError: They do not fit the table, or to each other.
    """
    if not sets:
        return
    if schema is None:
        raise ValueError("missing: expected none for data without a table")
    for one in sets:
        one.check_for(schema)
    names = [name for one in sets for name in one.columns]
    if len(set(names)) < len(names):
        raise ValueError("missing: expected each column in one set")
    given = {one.given for one in sets} & set(names)
    if given:
        raise ValueError(f"missing: {min(filter(None, given))!r} can be missing itself")


def edges(column: TableColumn, cuts: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the codes between the groups of a column, between two cells each."""
    if column.has_logits:
        return np.arange(0.5, column.n_levels - 1)
    steps: NDArray[np.float64] = np.round(np.array(cuts, np.float64) / column.width)
    return np.multiply(steps + 0.5, column.width)


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
