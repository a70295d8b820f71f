"""
Cells of a table's columns as codes, and back.

The code of a number is the number, that of a category its index in the model's list,
and that of a missing cell NaN. `table` of `GET /model` has the columns.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LISTED = 8
_MISSING_KINDS = frozenset({"NAType", "NaTType"})  # pandas.NA and pandas.NaT
# Texts that stand for a missing category, unless the column has such a category.
_MISSING_TEXTS = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
_TRUTH = frozenset({"true", "false"})


def codes(
    name: str,
    values: Iterable[Any],
    categories: Sequence[Any] | None,
    unseen: float | None = None,
) -> NDArray[np.float64]:
    """
    Return the codes of a column, (N,).

    Args:
        categories: The categories of the column, None if it has numbers.
        unseen: The code of an unknown category; None if it is refused.

    Raises:
        ValueError: A cell is no number, or an unknown category.
    """
    levels = {_canonical(one): float(i) for i, one in enumerate(categories or ())}
    are_words = all(isinstance(one, str) for one in categories or ())
    found: list[float] = []
    for value in values:
        cell = value.item() if isinstance(value, np.generic) else value
        if _is_missing(cell):
            found.append(math.nan)
        elif categories is None:
            found.append(_number(name, cell))
        else:
            ways = [_canonical(cell)] if are_words else _ways_to_write(cell)
            level = next((levels[way] for way in ways if way in levels), None)
            if level is None:
                level = math.nan if _stands_for_missing(cell) else unseen
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


def with_unseen(table: Mapping[str, Any] | None) -> Collection[str]:
    """Return the columns of a table that have a probability of unseen categories."""
    columns = () if table is None else table["columns"]
    return [column["name"] for column in columns if column["kind"] == "categorical"]


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
    if isinstance(cell, Decimal):
        return cell.is_nan()
    return isinstance(cell, float) and math.isnan(cell)


def _number(name: str, cell: Any) -> float:
    number = _number_of(cell)
    if number is None:
        raise ValueError(f"expected finite numbers in column {name!r}, got {cell!r}")
    return number


def _number_of(cell: Any) -> float | None:
    """Return a number as float64, None if it is none or too large for it."""
    if not isinstance(cell, bool | int | float | Decimal):
        return None
    try:
        number = float(cell)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _canonical(cell: Any) -> str:
    """Return one text for all ways to write a category: 3 and 3.0 are one."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    number = _number_of(cell)
    return str(cell).strip() if number is None else f"{number:.17g}"


def _ways_to_write(cell: Any) -> list[str]:
    """Return a category as it is, as a number and as a truth value, if it is one."""
    text = _canonical(cell)
    ways = [text]
    if text.lower() in _TRUTH:
        ways.append(text.lower())
    try:
        number = float(text)
    except ValueError:
        return ways
    ways.append(f"{number:.17g}")
    if not isinstance(cell, bool) and number in (0, 1):
        ways.append(_canonical(bool(number)))
    return ways


def _stands_for_missing(cell: Any) -> bool:
    return isinstance(cell, str) and cell.strip().lower() in _MISSING_TEXTS


def _unknown(name: str, cell: Any, categories: Sequence[Any]) -> str:
    what = f"unknown category {cell!r} in column {name!r}"
    folded = _canonical(cell).casefold()
    for one in categories:
        if _canonical(one).casefold() == folded:
            return f"{what}; did you mean {one!r}?"
    known = ", ".join(map(repr, categories[:_LISTED]))
    n_more = len(categories) - _LISTED
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"{what}; known are {known}{more}"
