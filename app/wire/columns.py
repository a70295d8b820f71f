"""Columns by name: where they are in what a client sent, and their names in errors."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import MAX_FAULTS, Fault, UnprocessableError
from app.wire.layout import Layout, Rows
from model.files import numerals
from model.tables.cells import is_missing_number

# Returns the fault of value `d` of a row as the client named it, given the row, `d` and
# the detail.
FaultNamer = Callable[[int, int, str], Fault]

ABSENT = -1
_CACHED, _MAX_CACHED = 1 << 10, 64  # cells, and characters of one
_LISTED = 5
_COMPARED = 200  # columns, at most, in a search for one that is spelled alike
_SEPARATORS = (";", "\t", "|")
# A name that a client made up is repeated in an error only if it is short and plain.
_PLAIN = re.compile(r"[\w .:%/()*+^-]{1,40}")


def positions(sent: Sequence[str], layout: Layout, pointer: str) -> list[int]:
    """
    Return the position of each of the model's columns among those that were sent.

    A column that is absent has -1, where a schema says how to go on without it.

    Raises:
        UnprocessableError: They are not the model's columns, whatever their order.
    """
    found = {name: i for i, name in enumerate(sent)}
    twice = [name for name, n in Counter(sent).items() if n > 1]
    missing = [name for name in layout.columns if name not in found]
    if twice:
        what = f"expected each column once, got {plain_name(twice[0])} twice"
        raise UnprocessableError(Fault(pointer, what))
    if missing and layout.schema is None:
        raise UnprocessableError(Fault(pointer, missing_columns_detail(missing)))
    known = layout.left_out.union(layout.columns)
    if others := [name for name in sent if name not in known]:
        raise UnprocessableError(Fault(pointer, other_columns_detail(others, layout)))
    return [found.get(name, ABSENT) for name in layout.columns]


def absent_names(order: Sequence[int], layout: Layout) -> tuple[str, ...]:
    """Return the names of columns that have no position."""
    names = zip(order, layout.columns, strict=True)
    return tuple(name for i, name in names if i == ABSENT)


def order_columns(values: NDArray[Any], order: Sequence[int]) -> NDArray[Any]:
    """Return values, (N, columns), in the order of the model's; NaN where absent."""
    found: NDArray[Any] = np.take(values, order, axis=1)
    found[:, [i == ABSENT for i in order]] = np.nan
    return found


def convert(
    values: NDArray[np.float64], layout: Layout, first_row: int, *, missing: str
) -> NDArray[np.floating]:
    """
    Return rows of data units, NaN for missing cells, in the model's units.

    Args:
        first_row: The position of the first row in the request.
        missing: What a missing cell is in the format, for the error.

    Raises:
        UnprocessableError: A value is missing where none may be, or out of range.
    """
    is_missing = np.isnan(values)
    if is_missing.any() and not layout.may_be_missing:
        row, d = divmod(int(np.argmax(is_missing)), layout.dim)
        what = f"expected a number, got {missing}"
        raise UnprocessableError(Fault(layout.pointer(first_row + row, d), what))
    return layout.to_rows(values, shaped=False, first_row=first_row).values


def number_in(cell: str) -> float | None:
    """Return the number in a text, NaN if it has none, None if it has another text."""
    return _read_before(cell) if len(cell) <= _MAX_CACHED else _read(cell)


def _read(cell: str) -> float | None:
    reading = numerals.read(cell, ".")
    if reading is not None:
        return reading.value
    return nan if is_missing_number(cell) else None


_read_before = lru_cache(_CACHED)(_read)


def missing_columns_detail(missing: Sequence[str]) -> str:
    """Return the detail of the error for columns that a client did not send."""
    named = ", ".join(missing[:_LISTED])
    more = f" and {len(missing) - _LISTED} more" * (len(missing) > _LISTED)
    return f"expected a value for each column, got none for {named}{more}"


def other_columns_detail(others: Sequence[str], layout: Layout) -> str:
    """Return the detail of the error for columns that the model does not have."""
    n = f"{len(others)} other{'s' * (len(others) > 1)}"
    shown = ", ".join(name for name in others[:_LISTED] if _PLAIN.fullmatch(name))
    named = f": {shown}" if shown else ""
    what = f"expected only columns of the model, got {n}{named}"
    if len(others) == 1 and any(mark in others[0] for mark in _SEPARATORS):
        return f"{what}; separate cells by commas"
    return f"{what}; {_suggest(others[0], layout.columns)}"


def _suggest(other: str, columns: Sequence[str]) -> str:
    """Return the column that is spelled most alike, or the first ones."""
    if len(columns) <= _COMPARED and _PLAIN.fullmatch(other):
        folded = {name.casefold(): name for name in columns}
        if alike := get_close_matches(other.casefold(), folded, 1):
            return f"did you mean {folded[alike[0]]}?"
    more = f" and {len(columns) - _LISTED} more" * (len(columns) > _LISTED)
    return f"it has {', '.join(columns[:_LISTED])}{more}"


def plain_name(name: str) -> str:
    """Return a name of a client as it may be in an error."""
    return name if _PLAIN.fullmatch(name) else "a column"


def rows(
    values: NDArray[Any],
    order: Sequence[int],
    unknown: tuple[Fault, ...],
    layout: Layout,
) -> Rows:
    """
    Return the rows of a table whose columns came under their names.

    Args:
        values: In the order of the model's columns, (N, D).
        order: The position of each of them in what came.
    """
    return Rows(
        values,
        shaped=False,
        pointer_to=pointers(layout),
        absent=absent_names(order, layout),
        unknown=unknown,
    )


def first_faults(
    kept: tuple[Fault, ...],
    more: Sequence[Fault],
    layout: Layout,
    name_fault: FaultNamer,
) -> tuple[Fault, ...]:
    """Return the first faults of a table: those kept, then those of a part below."""
    if not more or len(kept) >= MAX_FAULTS:
        return kept
    return (kept + rename_faults(more, layout, name_fault))[:MAX_FAULTS]


def pointers(layout: Layout) -> Callable[[int, int], str]:
    """Return a function from a row and a position in it to a pointer by name."""
    return lambda row, d: f"{layout.pointer(row)}/{escape(layout.columns[d])}"


def escape(name: str) -> str:
    """Return a name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


@contextmanager
def faults_at(layout: Layout, name_fault: FaultNamer) -> Iterator[None]:
    """Replace the faults of values, which have a row and a position in it."""
    try:
        yield
    except UnprocessableError as error:
        raise UnprocessableError(
            *rename_faults(error.faults, layout, name_fault)
        ) from None


def rename_faults(
    faults: Sequence[Fault], layout: Layout, name_fault: FaultNamer
) -> tuple[Fault, ...]:
    """Return faults, with those of values as the client named the columns."""
    pattern = re.compile(rf"{re.escape(layout.pointer())}/(\d+)/(\d+)")
    found = [(fault, pattern.fullmatch(fault.pointer)) for fault in faults]
    return tuple(
        name_fault(int(at[1]), int(at[2]), fault.detail) if at else fault
        for fault, at in found
    )
