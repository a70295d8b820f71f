"""JSON schemas of rows: as arrays, and by the names of their columns."""

from collections.abc import Sequence
from typing import Any

from app.wire.layout import LARGEST
from model.tables.schema import TableColumn, TableSchema

Json = dict[str, Any]

NUMBER: Json = {"type": "number"}
_KINDS_OF_CELLS = ("number", "string", "boolean", "null")


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
    rows: Json, columns: Sequence[str], table: TableSchema | None = None
) -> list[Json]:
    """
    Return the schemas of rows, [N, D]: as arrays, split, and as records.

    Args:
        table: What cells are, if rows by name have cells of mixed kinds.
    """
    number = rows["items"]["items"]
    cells = dict.fromkeys(columns, number)
    data, needed, n = rows, list(columns), len(columns)
    if table is not None:
        cells = {column.name: _cell(column) for column in table.columns}
        items = {"type": "array", "items": {"type": [*_KINDS_OF_CELLS]}}
        data, needed = {**rows, "items": items}, []
    record = {
        "type": "object",
        "description": "A row by the names of its columns.",
        "properties": cells,
        **({"required": needed} if needed else {}),
        "additionalProperties": False,
    }
    names = {"type": "array", "items": {"type": "string", "enum": list(columns)}}
    split = {
        "type": "object",
        "description": "Rows under the names of their columns.",
        "properties": {
            "columns": {**names, "minItems": n if needed else 0, "maxItems": n},
            "data": data,
        },
        "required": ["columns", "data"],
    }
    return [rows, split, {**rows, "items": record}]


def _cell(column: TableColumn) -> Json:
    """Return the schema of a cell, which may be missing."""
    if column.categories is None:
        return nullable(NUMBER)
    return {"enum": [*column.categories, None]}


def draws(forms: Sequence[Json]) -> list[Json]:
    """Return the schemas of rows with several draws each, [N, K, D]."""
    found: list[Json] = []
    for form in forms:
        properties: Json = form.get("properties", {})
        rows = {"type": "array", "items": properties.get("data", form)}
        split = {**form, "properties": {**properties, "data": rows}}
        found.append(split if properties else rows)
    return found
