"""
Rows of a JSON body as records: objects with a value for each column, by name.

Records are for bodies written by hand and are read by the slow parser; long bodies send
rows as arrays.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from app.errors import Fault, UnprocessableError
from app.wire.body import Body
from app.wire.layout import Layout

_BEGIN = re.compile(rb"\[[ \t\r\n]*\{")
_LISTED = 5


def begin(body: Body, start: int) -> bool:
    """Return whether the array at a position of a body has records."""
    return _BEGIN.match(body, start) is not None


def too_long(layout: Layout, most: int) -> UnprocessableError:
    """Return the error for a long body with records."""
    what = (
        f"expected rows as arrays in a body of more than {most} bytes, in the order of "
        "`columns` in /model; got objects"
    )
    return UnprocessableError(Fault(layout.pointer(), what))


def in_order(
    records: Sequence[Any], layout: Layout, first_row: int
) -> tuple[list[list[Any]], list[Fault]]:
    """Return the values of records in the order of the columns, and the faults."""
    rows: list[list[Any]] = []
    faults: list[Fault] = []
    names = frozenset(layout.columns)
    for i, record in enumerate(records, first_row):
        if not isinstance(record, dict):
            what = (
                "expected an object with a value for each column, as in the first row"
            )
            faults.append(Fault(layout.pointer(i), what))
        elif missing := [name for name in layout.columns if name not in record]:
            named = ", ".join(missing[:_LISTED])
            more = f" and {len(missing) - _LISTED} more" * (len(missing) > _LISTED)
            what = f"expected a value for each column, got none for {named}{more}"
            faults.append(Fault(layout.pointer(i), what))
        elif extra := record.keys() - names:
            what = (
                "expected the columns of `columns` in /model only, got "
                f"{len(extra)} other{'s' * (len(extra) > 1)}"
            )
            faults.append(Fault(layout.pointer(i), what))
        else:
            rows.append([record[name] for name in layout.columns])
    return rows, faults


@contextmanager
def named_pointers(layout: Layout) -> Iterator[None]:
    """Replace positions in the pointers of errors by the names of columns."""
    pattern = re.compile(rf"{re.escape(layout.pointer())}/(\d+)/(\d+)")
    try:
        yield
    except UnprocessableError as error:
        raise UnprocessableError(
            *(_named(fault, pattern, layout) for fault in error.faults)
        ) from None


def _named(fault: Fault, pattern: re.Pattern[str], layout: Layout) -> Fault:
    found = pattern.fullmatch(fault.pointer)
    if found is None:
        return fault
    name = layout.columns[int(found[2])].replace("~", "~0").replace("/", "~1")
    return fault._replace(pointer=f"{layout.pointer(int(found[1]))}/{name}")
