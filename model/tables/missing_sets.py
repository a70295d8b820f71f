"""Which columns can be missing, and which of them together."""

from typing import Annotated, Self, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from model.section import Section
from model.tables.schema import TableColumn, TableSchema

MAX_PATTERNS, MAX_GROUPS = 64, 64


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
