"""
The slow path for JSON bodies: parses what the fast path refuses, or explains errors.

It accepts the same documents as the fast path, and valid integers of more than 64 bits.
Every error has a JSON pointer and a message. It refuses bodies of more than
`MAX_EXPLAINED_BYTES`, so that an invalid body does not block the event loop.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, final

import numpy as np

from app.errors import MAX_FAULTS, Fault, UnprocessableError, number, refuse
from app.wire import codes, columns
from app.wire.body import Body
from app.wire.json import mistakes, records, split
from app.wire.layout import Layout, Rows
from app.wire.nesting import TOO_DEEP, is_too_deep

MAX_EXPLAINED_BYTES = 1 << 17
_MAX_MEMBERS_BYTES = 4096
_MAX_INTEGER_DIGITS = 20
_KINDS: dict[type, str] = {str: "a string", list: "an array", dict: "an object"}
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@final
class _DuplicateKeyError(ValueError):
    """A key occurs twice."""


@final
class _LoneSurrogateError(ValueError):
    """A key or a string value cannot be encoded as UTF-8."""


def read(body: Body, layout: Layout) -> tuple[Rows, dict[str, Any]]:
    """
    Parse a body; return its rows and its other members.

    Raises:
        UnprocessableError: It does not match the layout.
    """
    members = parse_members(body, f" with {layout.name}")
    if layout.name not in members:
        others = f"; got {', '.join(_plain(members))}" if _plain(members) else ""
        others += mistakes.no_x(members, layout.name, layout.columns)
        layout.refuse(f"expected {layout.wanted}, but it is missing{others}")
    rows = _to_rows(members.pop(layout.name), layout, first_row=0)
    return rows, members


def read_rows(text: bytes, layout: Layout, *, first_row: int) -> Rows:
    """
    Parse a part of a longer JSON array, which begins at row `first_row`.

    Raises:
        UnprocessableError: It does not match the layout.
    """
    return _to_rows(_parse(text), layout, first_row=first_row)


def read_split_rows(
    text: bytes, names: list[str], order: list[int], layout: Layout, *, first_row: int
) -> Rows:
    """
    Parse a part of a longer JSON array of cells, which begins at row `first_row`.

    Args:
        names: The columns, as they were sent.
        order: The position among them of each column of the model.

    Raises:
        UnprocessableError: It does not match the layout.
    """
    return _split_rows(_parse(text), names, order, layout, first_row)


def read_members(body: Body) -> dict[str, Any]:
    """
    Parse a body without an array.

    Raises:
        UnprocessableError: It is not a JSON object.
    """
    if len(body) > _MAX_MEMBERS_BYTES:
        refuse("", f"expected JSON of at most {_MAX_MEMBERS_BYTES} bytes")
    return parse_members(body)


def mixed_rows_error(layout: Layout) -> UnprocessableError:
    """Return the error for an array with both flat and shaped rows."""
    return UnprocessableError(
        Fault(layout.pointer(), f"expected {layout.wanted}, got rows of both shapes")
    )


def kind(value: object) -> str:
    """Name the JSON type of a value, with its article."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return number(value) if abs(value) < 1 << 63 else "a number out of range"
    return _KINDS.get(type(value), "null")


def parse_members(body: Body, wanted: str = "") -> dict[str, Any]:
    """
    Return all members of a short body.

    Args:
        wanted: What it should have, for the error.

    Raises:
        UnprocessableError: It is long, or not a JSON object.
    """
    members = _parse(body)
    if not isinstance(members, dict):
        refuse("", f"expected an object{wanted}, got {kind(members)}")
    return members


def _parse(body: Body) -> Any:
    if len(body) > MAX_EXPLAINED_BYTES:
        refuse("", "expected JSON with rows of finite numbers, got something else")
    if is_too_deep(body):
        refuse("", TOO_DEEP)
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_members,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        refuse("", f"expected UTF-8, got an invalid byte at position {error.start}")
    except _DuplicateKeyError as error:
        refuse(_pointer(str(error)), "expected distinct keys, got a duplicate")
    except _LoneSurrogateError:
        refuse("", "expected Unicode text, got a lone surrogate (\\ud800)")
    except json.JSONDecodeError as error:
        refuse("", mistakes.syntax(error.doc, error, error.pos))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _DuplicateKeyError(next(key for key, n in counts.items() if n > 1))
    # The parser accepts a lone \ud800, which cannot be encoded later.
    if not all(map(_is_text, members)) or not all(
        _is_text(value) for value in members.values() if type(value) is str
    ):
        raise _LoneSurrogateError
    return members


def _is_text(text: str) -> bool:
    """Return whether a string is Unicode text, without lone surrogates."""
    return text.isascii() or not _SURROGATE.search(text)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else float(digits)


def _to_rows(array: Any, layout: Layout, *, first_row: int) -> Rows:
    if layout.columns and isinstance(array, dict):
        return _from_split(array, layout)
    if not isinstance(array, list):
        layout.refuse(f"expected {layout.wanted}, got {kind(array)}")
    layout.check_n_rows(len(array))
    if layout.columns and isinstance(array[0], dict):
        return _from_records(array, layout, first_row)
    shaped = _looks_shaped(array, layout)
    dims = layout.shape if shaped else (layout.dim,)
    faults = chain.from_iterable(
        _row_faults(row, dims, layout, (i,)) for i, row in enumerate(array, first_row)
    )
    if first := tuple(islice(faults, MAX_FAULTS)):
        raise UnprocessableError(*first)
    values = np.array(array, np.float64)
    return layout.to_rows(values, shaped=shaped, first_row=first_row)


def _from_records(array: list[Any], layout: Layout, first_row: int) -> Rows:
    rows, faults = records.in_order(array, layout, first_row)
    if faults:
        raise UnprocessableError(*faults)
    name_fault = records.fault_namer(layout)
    with columns.faults_at(layout, name_fault):
        found = _named_rows(rows, layout, first_row)
    absent = records.absent_names(array, layout) if layout.schema is not None else ()
    return found._replace(
        pointer_to=columns.pointers(layout),
        absent=absent,
        unknown=columns.rename_faults(found.unknown, layout, name_fault),
    )


def _from_split(table: dict[str, Any], layout: Layout) -> Rows:
    names, data = split.names_and_rows(table, layout)
    order = split.order_of(names, layout)
    if not isinstance(data, list):
        what = f"expected an array of rows, got {kind(data)}"
        refuse(f"{layout.pointer()}/data", what)
    return _split_rows(data, names, order, layout, 0)


def _split_rows(
    data: list[Any], names: list[str], order: list[int], layout: Layout, first_row: int
) -> Rows:
    rows, faults = split.in_order(data, len(names), order, layout, first_row)
    if faults:
        raise UnprocessableError(*faults)
    name_fault = split.fault_namer(layout, order)
    with columns.faults_at(layout, name_fault):
        found = _named_rows(rows, layout, first_row)
    absent = columns.absent_names(order, layout)
    return found._replace(
        pointer_to=split.pointers(layout, order),
        absent=absent,
        unknown=columns.rename_faults(found.unknown, layout, name_fault),
    )


def _named_rows(rows: list[list[Any]], layout: Layout, first_row: int) -> Rows:
    """Return rows of cells, which are in the order of the model's columns."""
    if layout.schema is None:
        return _to_rows(rows, layout, first_row=first_row)
    layout.check_n_rows(len(rows))
    coded = codes.of_rows(rows, layout.columns, layout, layout.schema, first_row)
    found = layout.to_rows(coded.values, shaped=False, first_row=first_row)
    return found._replace(unknown=tuple(coded.unknown[:MAX_FAULTS]))


def _looks_shaped(array: list[Any], layout: Layout) -> bool:
    first = array[0]
    return (
        len(layout.shape) > 1
        and isinstance(first, list)
        and any(isinstance(element, list) for element in first[:1])
    )


def _row_faults(
    value: Any, dims: tuple[int, ...], layout: Layout, index: tuple[int, ...]
) -> Iterator[Fault]:
    """Yield the errors of a value that should be an array of shape `dims`."""
    if not dims:
        yield from _number_faults(value, layout, index)
    elif not isinstance(value, list):
        what = f"expected {layout.wanted}, got {kind(value)} in place of an array"
        yield Fault(layout.pointer(*index), what)
    elif len(value) != dims[0]:
        row = "row" if len(index) == 1 else "part of a row"
        what = f"expected {layout.wanted}, got a {row} of {len(value)} values"
        yield Fault(layout.pointer(*index), what)
    else:
        for i, element in enumerate(value):
            yield from _row_faults(element, dims[1:], layout, (*index, i))


def _number_faults(
    value: Any, layout: Layout, index: tuple[int, ...]
) -> Iterator[Fault]:
    if value is None and layout.may_be_missing:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        what = f"expected a number, got {kind(value)}"
        if isinstance(value, str) and layout.schema is not None:
            what += "; arrays have codes: send words by the names of their columns"
        yield Fault(layout.pointer(*index), what)
    elif not math.isfinite(value) or abs(value) > layout.largest:
        what = f"expected {layout.a_number}, got {number(value)}"
        yield Fault(layout.pointer(*index), what)


def _plain(members: dict[str, Any]) -> list[str]:
    return [key for key in list(members)[:5] if _pointer(key)]


def _pointer(key: str) -> str:
    """Return the pointer to a short, plain key; to the whole document otherwise."""
    return f"/{key}" if key.isidentifier() and len(key) <= 40 else ""
