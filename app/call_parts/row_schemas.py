"""JSON schemas of rows: as arrays, and by the names of their columns."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.wire.layout import LARGEST
from model.tables.cells import Cell
from model.tables.schema import TableColumn, TableSchema

Json = dict[str, Any]

NUMBER: Json = {"type": "number"}
_KINDS_OF_CELLS = ("number", "string", "boolean", "null")
_KINDS_OF_VALUES: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
}


def within(low: float, high: float) -> Json:
    """Return the schema of a number; 0, the example, is in every support."""
    return {**NUMBER, "minimum": low, "maximum": high, "examples": [0]}


FLOAT32 = within(-LARGEST, LARGEST)


def nullable(number: Json) -> Json:
    """Return the schema of a number that may be missing."""
    return {**number, "type": ["number", "null"]}


def rows(
    shape: Sequence[int], at_most: int, at_least: int, number: Json = NUMBER
) -> Json:
    """Return the schema of an array, [N, *shape]."""
    schema = number
    for size in reversed(shape):
        schema = {"type": "array", "minItems": size, "maxItems": size, "items": schema}
    return {
        "type": "array",
        "minItems": at_least,
        "maxItems": at_most,
        "items": schema,
    }


def texts(schema: Json) -> Json:
    """Return what a schema says in words."""
    return {name: schema[name] for name in ("title", "description") if name in schema}


def forms(
    rows: Json,
    columns: Sequence[str],
    table: TableSchema | None,
    named: Json | None = None,
) -> list[Json]:
    """
    Return the schemas of rows, [N, D]: as arrays, split, and as records.

    Args:
        table: What cells are, if rows by name have cells of mixed kinds.
        named: What a number is in rows by name; None if what it is in arrays.
    """
    if table is None:
        cell: Json = named or rows["items"]["items"]
        row = {**rows["items"], "items": cell}
        cells = dict.fromkeys(columns, cell)
        at_least = len(columns)
    else:
        cell = {"type": [*_KINDS_OF_CELLS]}
        row = {"type": "array", "items": cell}
        cells = {column.name: _cell(column) for column in table.columns}
        at_least = 0
    split = _split({**rows, "items": row}, columns, at_least)
    return [rows, split, {**rows, "items": _record(cells, cell, at_least)}]


def _split(data: Json, columns: Sequence[str], at_least: int) -> Json:
    """Return the schema of rows under the names of at least so many columns."""
    names = {"type": "array", "items": {**one_of(columns), "type": "string"}}
    return {
        "type": "object",
        "description": "Rows under the names of their columns.",
        "properties": {
            "columns": {**names, "minItems": at_least, "maxItems": len(columns)},
            "data": data,
        },
        "required": ["columns", "data"],
    }


def _record(cells: Mapping[str, Json], cell: Json, at_least: int) -> Json:
    """
    Return the schema of a row by the names of at least so many columns.

    Args:
        cells: The schema of each column's cell.
        cell: That of any of them, for names that generators cannot tell apart.
    """
    record = {"type": "object", "description": "A row by the names of its columns."}
    if not _have_names(list(cells)):
        sizes = {"minProperties": at_least, "maxProperties": len(cells)}
        return {**record, "additionalProperties": cell, **sizes}
    required = {"required": list(cells)} if at_least else {}
    return {**record, "properties": cells, "additionalProperties": False, **required}


def _cell(column: TableColumn) -> Json:
    """Return the schema of a cell, which may be missing."""
    if column.categories is None:
        return nullable(NUMBER)
    return one_of([*column.categories, None])


def one_of(values: Sequence[Cell]) -> Json:
    """
    Return the schema of one of some values, None for one that may be missing.

    It is an `enum` of texts or of integers. Generators of clients refuse one of truth
    values, of fractions or of mixed types, which are named in the description.
    """
    known = [one for one in values if one is not None]
    if all(type(one) is int for one in known) or _have_names(known):
        return {"enum": [*values]}
    kinds = sorted({_KINDS_OF_VALUES[type(one)] for one in known})
    listed = ", ".join(json.dumps(one, ensure_ascii=False) for one in known)
    null = ["null"] if None in values else []
    return {"type": [*kinds, *null], "description": f"One of {listed}."}


def _have_names(values: Sequence[Cell]) -> bool:
    """
    Say whether values are texts that a generator of clients can tell apart.

    It names members by their letters and digits: "A+" and "A-" are both named A.
    """
    names = {
        "".join(filter(str.isalnum, one.casefold()))
        for one in values
        if isinstance(one, str)
    }
    return len(names) == len(values)


def draws(forms: Sequence[Json]) -> list[Json]:
    """Return the schemas of rows with several draws each, [N, K, D]."""
    found: list[Json] = []
    for form in forms:
        properties: Json = form.get("properties", {})
        rows = {"type": "array", "items": properties.get("data", form)}
        split = {**form, "properties": {**properties, "data": rows}}
        found.append(split if properties else rows)
    return found
