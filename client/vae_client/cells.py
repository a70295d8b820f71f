"""
Cells of a table's columns as codes, and back.

The code of a number is the number, that of a category its index in the model's list,
and that of a missing cell NaN. `table` of `GET /model` has the columns.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LISTED = 8
_MISSING_KINDS = frozenset({"NAType", "NaTType"})  # pandas.NA and pandas.NaT


def codes(
    name: str, values: Iterable[Any], categories: Sequence[Any] | None
) -> NDArray[np.float64]:
    """
    Return the codes of a column, (N,).

    Args:
        categories: The categories of the column, None if it has numbers.

    Raises:
        ValueError: A cell is no number, or an unknown category.
    """
    levels = {_canonical(one): float(i) for i, one in enumerate(categories or ())}
    found: list[float] = []
    for value in values:
        cell = value.item() if isinstance(value, np.generic) else value
        if _is_missing(cell):
            found.append(math.nan)
        elif categories is None:
            found.append(_number(name, cell))
        else:
            level = levels.get(_canonical(cell))
            if level is None:
                raise ValueError(_unknown(name, cell, categories))
            found.append(level)
    return np.array(found, np.float64)


def cells(column: NDArray[Any], categories: Sequence[Any] | None) -> NDArray[Any]:
    """Return the cells of a column of codes, (N,); numbers stay as they are."""
    if categories is None:
        return column
    found = np.full(len(column), None, object)
    for i, code in enumerate(column.tolist()):
        if 0 <= code < len(categories):
            found[i] = categories[int(code)]
    return found


def categories_of(table: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the categories of each column of a table, None for numbers."""
    if table is None:
        return None
    return {column["name"]: column["categories"] for column in table["columns"]}


def levels_of(table: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return `column=category` for each category that has no order."""
    columns = () if table is None else table["columns"]
    return tuple(
        f"{column['name']}={_canonical(category)}"
        for column in columns
        if column["kind"] in ("binary", "categorical")
        for category in column["categories"]
    )


def _is_missing(cell: Any) -> bool:
    if cell is None or type(cell).__name__ in _MISSING_KINDS:
        return True
    return isinstance(cell, float) and math.isnan(cell)


def _number(name: str, cell: Any) -> float:
    if isinstance(cell, bool | int | float) and math.isfinite(cell):
        return float(cell)
    raise ValueError(f"expected finite numbers in column {name!r}, got {cell!r}")


def _canonical(cell: Any) -> str:
    """Return one text for all ways to write a category: 3 and 3.0 are one."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(cell).strip() if isinstance(cell, str) else f"{float(cell):.17g}"


def _unknown(name: str, cell: Any, categories: Sequence[Any]) -> str:
    known = ", ".join(map(repr, categories[:_LISTED]))
    n_more = len(categories) - _LISTED
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"unknown category {cell!r} in column {name!r}; known are {known}{more}"
