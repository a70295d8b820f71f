"""
Rows of a JSON body as `{"columns": [...], "data": [[...], ...]}`, by name.

The columns may be in any order. pandas writes rows so with `orient="split"`; its
`index` is ignored. In a long body the names come before the rows, so that the rows can
be parsed in pieces.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError, refuse
from app.wire import codes, columns
from app.wire.body import Body
from app.wire.columns import ABSENT
from app.wire.json import mistakes
from app.wire.json.skeleton import Cut
from app.wire.layout import Layout, Rows
from model.raw_values import PLAIN

_BEGIN = re.compile(rb'"x"[ \t\r\n]*:[ \t\r\n]*\{')
# Within a string its quotes would have backslashes, so this is a key.
_DATA = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\[')
_MEMBERS = ("columns", "data")
_IGNORED = "index"
_HEAD_BYTES, _TAIL_BYTES = 1 << 16, 1 << 12


def begins(body: Body, start: int) -> bool:
    """Return whether x, before the first `[` of a body, begins as an object."""
    return start > 0 and _BEGIN.search(body, 0, start) is not None


def cut(body: Body) -> Cut | None:
    """Return a body without its rows; None if much else is around them."""
    found = _DATA.search(body, 0, _HEAD_BYTES)
    stop = body.rfind(b"]", max(0, len(body) - _TAIL_BYTES)) + 1
    if found is None or stop <= found.end():
        return None
    start = found.end() - 1
    return Cut(start, stop, bytes(body[: start + 1] + b"]" + body[stop:]))


def too_long(layout: Layout, most: int) -> UnprocessableError:
    """Return the error for a long body whose rows cannot be parsed in pieces."""
    what = (
        f"expected, in a body of more than {most} bytes, columns first and then data, "
        "without an index; or text/csv"
    )
    return UnprocessableError(Fault(layout.pointer(), what))


def names_and_rows(table: dict[str, Any], layout: Layout) -> tuple[list[str], Any]:
    """
    Return the two members of a table.

    Raises:
        UnprocessableError: It has others, or the names are not an array of strings.
    """
    pointer = layout.pointer()
    for name in _MEMBERS:
        if name not in table:
            refuse(pointer, mistakes.no_split(table, name, layout.columns))
    if others := table.keys() - {*_MEMBERS, _IGNORED}:
        n = f"{len(others)} other{'s' * (len(others) > 1)}"
        refuse(pointer, f"expected an object with columns and data only, got {n}")
    names = table["columns"]
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        refuse(f"{pointer}/columns", "expected an array of names")
    return names, table["data"]


def data_layout(layout: Layout, n: int) -> Layout:
    """Return the layout of rows of n columns as they are sent, in data units."""
    name = f"{layout.name}/data"
    return replace(
        layout,
        name=name,
        shape=(n,),
        raw=PLAIN,
        units=None,
        dtype=np.float64,
        columns=(),
        schema=None,
    )


def order_of(names: Sequence[str], layout: Layout) -> list[int]:
    """
    Return the position of each of the model's columns among the names.

    Raises:
        UnprocessableError: They are not the model's columns.
    """
    return columns.positions(names, layout, f"{layout.pointer()}/columns")


def reorder(
    sent: NDArray[Any],
    names: Sequence[str],
    order: Sequence[int],
    layout: Layout,
) -> Rows:
    """
    Return rows, (N, D), with the columns in the order of the model's.

    Raises:
        UnprocessableError: A value is outside the model's range.
    """
    unknown: Sequence[Fault] = ()
    with columns.faults_at(layout, fault_namer(layout, order)):
        if layout.schema is not None:
            sent, unknown = codes.of_numbers(sent, names, layout, layout.schema, 0)
        rows = layout.to_rows(columns.order_columns(sent, order), shaped=False)
    absent = columns.absent_names(order, layout)
    return rows._replace(
        pointer_to=pointers(layout, order),
        absent=absent,
        unknown=columns.rename_faults(unknown, layout, fault_namer(layout, order)),
    )


def pointers(layout: Layout, order: Sequence[int]) -> Callable[[int, int], str]:
    """Return a function from a row and a position to the place where it was sent."""
    return lambda row, d: f"{layout.pointer()}/data/{row}/{order[d]}"


def in_order(
    rows: Sequence[Any],
    n: int,
    order: Sequence[int],
    layout: Layout,
    first_row: int = 0,
) -> tuple[list[list[Any]], list[Fault]]:
    """
    Return the values of rows in the order of the model's columns, and the faults.

    Args:
        n: How many values a row has, one for each name that was sent.
        first_row: The position of the first row in the request.
    """
    faults = [
        Fault(
            f"{layout.pointer()}/data/{i}",
            f"expected an array of {n} values, one for each name in columns, "
            + (f"got {len(row)}" if isinstance(row, list) else "got no array"),
        )
        for i, row in enumerate(rows, first_row)
        if not isinstance(row, list) or len(row) != n
    ]
    if faults:
        return [], faults
    return [[None if i == ABSENT else row[i] for i in order] for row in rows], []


def fault_namer(layout: Layout, order: Sequence[int]) -> columns.FaultNamer:
    """Return a function that names the place of a fault as it was sent."""
    pointer_to = pointers(layout, order)
    return lambda row, d, detail: Fault(
        pointer_to(row, d), f"{layout.columns[d]}: {detail}"
    )
