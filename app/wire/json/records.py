"""Rows of a JSON body as records: objects with a value for each column, by name."""

import re
from collections.abc import Sequence
from typing import Any

from app.errors import Fault
from app.wire import columns
from app.wire.body import Body
from app.wire.layout import Layout

_BEGIN = re.compile(rb"\[[ \t\r\n]*\{")


def begins(body: Body, start: int) -> bool:
    """Return whether the array at a position of a body has records."""
    return _BEGIN.match(body, start) is not None


def in_order(
    records: Sequence[Any], layout: Layout, first_row: int
) -> tuple[list[list[Any]], list[Fault]]:
    """Return the values of records in the order of the columns, and the faults."""
    rows: list[list[Any]] = []
    faults: list[Fault] = []
    names = layout.left_out.union(layout.columns)
    for i, record in enumerate(records, first_row):
        if not isinstance(record, dict):
            what = (
                "expected an object with a value for each column, as in the first row"
            )
            faults.append(Fault(layout.pointer(i), what))
        elif (missing := _missing(record, layout)) and layout.schema is None:
            faults.append(
                Fault(layout.pointer(i), columns.missing_columns_detail(missing))
            )
        elif extra := record.keys() - names:
            others = [name for name in record if name in extra]
            faults.append(
                Fault(layout.pointer(i), columns.other_columns_detail(others, layout))
            )
        else:
            rows.append([record.get(name) for name in layout.columns])
    return rows, faults


def absent_names(records: Sequence[Any], layout: Layout) -> tuple[str, ...]:
    """Return the columns that a record does not have."""
    found = dict.fromkeys(name for one in records for name in _missing(one, layout))
    return tuple(found)


def _missing(record: dict[str, Any], layout: Layout) -> list[str]:
    return [name for name in layout.columns if name not in record]


def fault_namer(layout: Layout) -> columns.FaultNamer:
    """Return a function that names the column of a fault."""
    pointer_to = columns.pointers(layout)
    return lambda row, d, detail: Fault(pointer_to(row, d), detail)
