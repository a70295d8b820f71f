"""The columns of a table: which are x, which the labels, and which are left out."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.files.contents import DataError
from model.files.options import ReadOptions

_LISTED = 8  # names in a message
_LIKE_AN_ID = re.compile(
    r"(.*[_ .-])?(ids?|index|idx|uuid|guid|rownames?|row_?(id|nr|number))"
    r"|unnamed: \d+",
    re.IGNORECASE,
)
_LIKE_LABELS = re.compile("(class_?)?labels?|class(es)?|targets?|y", re.IGNORECASE)
_LARGEST_EXACT = 2.0**53  # integers above are rounded
_LEAST_ROWS = 10  # that distinct integers are more than chance
_FIRST_ROWS = 200


@final
@dataclass(frozen=True)
class FileColumns:
    """
    The columns of a table, before any is chosen.

    Attributes:
        file: The name of the file, for messages.
        names: One for each column, empty where it has none; () without a header.
        n_columns: How many there are.
        indices: Columns that count or name the rows, as programs write them.
        empty: Columns without a name and without a value.
    """

    file: str
    names: tuple[str, ...]
    n_columns: int
    indices: tuple[int, ...] = ()
    empty: tuple[int, ...] = ()

    def describe(self, position: int) -> str:
        """Name a column: "column 'height'", "column 3"."""
        name = self.names[position] if self.names else ""
        return f"column {name!r}" if name else f"column {position + 1}"

    def reference(self, position: int) -> str:
        """Return what names a column in an option."""
        name = self.names[position] if self.names else ""
        if not name:
            return str(position + 1)
        return shlex.quote(name) if name.isprintable() else repr(name)

    def find(self, option: str, wanted: str) -> int:
        """
        Return the position of a column by its name, or by its number from 1.

        Raises:
            DataError: There is no such column, or there are several.
        """
        n_found = self.names.count(wanted)
        if n_found == 1:
            return self.names.index(wanted)
        if n_found > 1:
            raise DataError(
                f"{option} {wanted}: {self.file} has {n_found} columns of this name;"
                " give the number of one, counted from 1"
            )
        if wanted.isdecimal() and 1 <= int(wanted) <= self.n_columns:
            return int(wanted) - 1
        raise DataError(
            f"{option} {wanted}: {self.file} has no such column; it has"
            f" {self.listed() or f'{self.n_columns} without names'}"
        )

    def listed(self, positions: Sequence[int] | None = None) -> str:
        """Return the names of columns, the first of them if they are many."""
        chosen = range(len(self.names)) if positions is None else positions
        names = [self.reference(i) for i in chosen]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return ", ".join(names[:_LISTED]) + more


@final
@dataclass(frozen=True)
class ChosenColumns:
    """
    The columns that are used.

    Attributes:
        x: Their positions.
        names: Their names, () if the table has none.
        label: The position of the labels.
        notes: What was left out without being asked for.
    """

    x: tuple[int, ...]
    names: tuple[str, ...]
    label: int | None
    notes: tuple[str, ...]


def choose(
    table: FileColumns, options: ReadOptions, wanted: Sequence[str] = ()
) -> ChosenColumns:
    """
    Choose the columns of a table.

    Args:
        wanted: The columns of the model that will get the rows. They are found by
            their names if the table has names and the options name no columns.

    Raises:
        DataError: A column of an option or of the model is not there, no column is
            left, or a column has no name or that of another.
    """
    label = None if options.label is None else table.find("--label", options.label)
    dropped = {table.find("--drop", name) for name in options.drop}
    notes: list[str] = []
    if options.columns:
        named = [table.find("--columns", name) for name in options.columns]
        x = tuple(i for i in named if i not in dropped)
    elif wanted and table.names:
        x = _wanted(table, wanted, notes)
    else:
        if wanted:
            notes.append(
                f"{table.file} has no header: its columns are taken in the order of"
                " the model's"
            )
        x = _all(table, dropped | ({label} if label is not None else set()), notes)
    if label is not None and label in x:
        raise DataError(f"--label {options.label} is one of the --columns too")
    if not x:
        raise DataError(
            f"{table.file}: no column is left of {table.n_columns}: name some in "
            "--columns, or fewer in --drop"
        )
    names = tuple(table.names[i] for i in x) if table.names else ()
    _check_names(table, x, names)
    return ChosenColumns(x, names, label, tuple(notes))


def _wanted(
    table: FileColumns, wanted: Sequence[str], notes: list[str]
) -> tuple[int, ...]:
    missing = [name for name in wanted if name not in table.names]
    if missing:
        raise DataError(
            f"{table.file} lacks {len(missing)} of the model's {len(wanted)} columns,"
            f" {', '.join(missing[:_LISTED])}; it has {table.listed()}"
        )
    x = tuple(table.find("the model's column", name) for name in wanted)
    _note_indices(table, {*x}, notes)
    known = {*x, *table.empty, *table.indices}
    rest = [i for i in range(table.n_columns) if i not in known]
    if rest:
        notes.append(
            f"left out of {table.file}: {table.listed(rest)}, which the model does not"
            " have"
        )
    return x


def _all(table: FileColumns, left_out: set[int], notes: list[str]) -> tuple[int, ...]:
    _note_indices(table, left_out, notes)
    skipped = left_out | {*table.indices} | {*table.empty}
    return tuple(i for i in range(table.n_columns) if i not in skipped)


def _note_indices(table: FileColumns, chosen: set[int], notes: list[str]) -> None:
    """Note that indices are left out, but for those that options speak of."""
    notes.extend(
        f"{table.describe(i)} of {table.file} is an index without a name and is"
        " left out"
        for i in table.indices
        if i not in chosen
    )


def _check_names(table: FileColumns, x: Sequence[int], names: tuple[str, ...]) -> None:
    for i, name in zip(x, names, strict=False):
        if not name:
            raise DataError(
                f"{table.describe(i)} of {table.file} has no name in the header,"
                f" {table.listed()}: give it one, or leave it out with --drop {i + 1};"
                " if that is no header, remove the lines above it"
            )
    for name, n in Counter(names).items():
        if n > 1:
            where = [i + 1 for i, other in zip(x, names, strict=True) if other == name]
            raise DataError(
                f"columns {where} of {table.file} have the same name, {name!r}: rename"
                f" them, or leave one out with --drop {where[-1]}"
            )


def warnings(
    table: FileColumns, choice: ChosenColumns, x: NDArray[np.float64]
) -> tuple[str, ...]:
    """Return a warning for each column of x, (N, D), that may be no data."""
    found = [
        f"{table.describe(position)} of {table.file} {what}"
        for column, position in enumerate(choice.x)
        if (what := _warning(table, position, x[:, column]))
    ]
    more = f"{len(found) - _LISTED} more columns of {table.file} draw such a warning"
    return (*found[:_LISTED], *((more,) if len(found) > _LISTED else ()))


def _warning(table: FileColumns, position: int, values: NDArray[np.float64]) -> str:
    """Return what a column looks like, with the option for it, or ""."""
    name = table.names[position] if table.names else ""
    reference = table.reference(position)
    if _LIKE_LABELS.fullmatch(name) and (values == np.floor(values)).all():
        return f"looks like labels (by name): --label {reference} takes it as labels"
    distinct = _are_distinct_integers(values)
    if distinct or _LIKE_AN_ID.fullmatch(name):
        why = f"{len(values)} distinct integers" if distinct else "by name"
        return f"looks like an identifier ({why}): --drop {reference} leaves it out"
    if np.abs(values).max() > _LARGEST_EXACT and (values == np.floor(values)).all():
        return f"has integers above 2^53, which are rounded: --drop {reference}"
    return ""


def _are_distinct_integers(values: NDArray[np.float64]) -> bool:
    if len(values) < _LEAST_ROWS:
        return False
    # The first rows decide for most columns.
    return all(
        bool((part == np.floor(part)).all()) and len(np.unique(part)) == len(part)
        for part in (values[:_FIRST_ROWS], values)
    )
