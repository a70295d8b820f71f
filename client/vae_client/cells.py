"""
Cells of a table's columns as codes, and back.

The code of a number is the number, that of a category its index in the model's list,
and that of a missing cell NaN. `table` of `GET /model` has the columns. A cell means
what the service reads in it where rows are JSON by name.
"""

import math
import re
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from decimal import Decimal
from numbers import Real
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LISTED = 8
_LONGEST_SHOWN = 40  # characters of a cell in a message
_MISSING_KINDS = frozenset({"NAType", "NaTType"})  # pandas.NA and pandas.NaT
# Texts that stand for a missing category, unless the column has such a category.
_MISSING_TEXTS = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
# Those that stand for a missing number; some of them could be categories.
_MISSING_NUMBERS: Final = _MISSING_TEXTS.union(
    ("n.a.", "n.a", "n/a.", "na.", "<na>", "-nan", "none", "nil", "missing", "unknown"),
    ("not available", "n.d.", "nd", "-", "--", "---", "\u2013", "\u2014"),
    (".", "..", "...", "k.a.", "k. a.", "keine angabe", "unbekannt"),
    ("#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "#wert!", "#bezug!"),
)
_TRUTH = frozenset({"true", "false"})
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA_IN_NUMBER = re.compile(r"\s*[-+]?[\d.]*,\d+\s*")


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
    code = _number_code if categories is None else _level_code(categories, unseen)
    found: list[float] = []
    for row, cell, number in _each(values, code):
        if number is None:
            what = _refusal(cell, categories)
            raise ValueError(f"row {row}, column {name!r}: {what}")
        found.append(number)
    return np.array(found, np.float64)


def numbers(name: str, key: str, values: Iterable[Any]) -> NDArray[np.float64]:
    """
    Return the numbers of a column of objects, (N,); truth values are 0 and 1.

    Args:
        name: What the column is of, x or mask.

    Raises:
        TypeError: A cell is neither a number nor missing.
    """
    found: list[float] = []
    for row, cell, number in _each(values, _number_or_truth):
        if number is None:
            raise TypeError(
                f"expected {name} of numbers, got {_show(cell)} in column {key!r}, "
                f"row {row}; make it a number, or NaN if it is missing"
            )
        found.append(number)
    return np.array(found, np.float64)


def cells(
    column: NDArray[Any], categories: Sequence[Any] | None
) -> NDArray[Any] | list[Any]:
    """
    Return the cells of a column of codes, (N,); numbers stay as they are.

    Categories are a list, of which any library of data frames finds the type; an array
    of objects would be a column of objects.
    """
    if categories is None:
        return column
    n = len(categories)
    return [categories[int(c)] if 0 <= c < n else None for c in column.tolist()]


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


def _each(
    values: Iterable[Any], code: Callable[[Any], float | None]
) -> Iterator[tuple[int, Any, float | None]]:
    """Yield the row, the cell and its code, NaN if missing, None if it has none."""
    for row, value in enumerate(values):
        cell = _python(value)
        yield row, cell, math.nan if _is_missing(cell) else code(cell)


def _python(value: Any) -> Any:
    """Return a value of numpy as one of Python, a time as text."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return None if np.isnat(value) else str(value)
    return value.item() if isinstance(value, np.generic) else value


def _is_missing(cell: Any) -> bool:
    if cell is None or type(cell).__name__ in _MISSING_KINDS:
        return True
    if isinstance(cell, Decimal):
        return cell.is_nan()
    return isinstance(cell, Real) and bool(cell != cell)


def _number_or_truth(cell: Any) -> float | None:
    """Return a number, or a truth value as 0 or 1; None if a cell is neither."""
    if isinstance(cell, bool | float):
        return float(cell)  # the service refuses infinite ones, with their place
    return _number_of(cell)


def _number_code(cell: Any) -> float | None:
    """Return the code of a cell of numbers, None if it is none."""
    if not isinstance(cell, str):
        return _number_of(cell)
    digits = cell.strip()
    if digits.lower() in _MISSING_NUMBERS:
        return math.nan
    return _number_of(float(digits)) if _NUMBER.fullmatch(digits) else None


def _level_code(
    categories: Sequence[Any], unseen: float | None
) -> Callable[[Any], float | None]:
    """Return what finds the code of a category, None if it is unknown and refused."""
    levels = {_canonical(one): float(i) for i, one in enumerate(categories)}
    are_words = all(isinstance(one, str) for one in categories)

    def code(cell: Any) -> float | None:
        ways = [_canonical(cell)] if are_words else _ways_to_write(cell)
        level = next((levels[way] for way in ways if way in levels), None)
        if level is not None:
            return level
        return math.nan if _stands_for_missing(cell) else unseen

    return code


def _number_of(cell: Any) -> float | None:
    """Return a finite number as float64, None if a cell is none or too large for it."""
    if isinstance(cell, bool) or not isinstance(cell, Real | Decimal):
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
    if not _NUMBER.fullmatch(text):
        return ways
    number = float(text)
    ways.append(f"{number:.17g}")
    if number in (0, 1):
        ways.append(_canonical(bool(number)))
    return ways


def _stands_for_missing(cell: Any) -> bool:
    return isinstance(cell, str) and cell.strip().lower() in _MISSING_TEXTS


def _refusal(cell: Any, categories: Sequence[Any] | None) -> str:
    """Return what was expected instead of a cell, in the words of the service."""
    if categories is None:
        what = f"expected a finite number or a missing cell, got {_show(cell)}"
        has_comma = isinstance(cell, str) and _COMMA_IN_NUMBER.fullmatch(cell)
        return f"{what}; write a decimal point, no comma" if has_comma else what
    what = f"unknown category {_show(cell)}"
    folded = _canonical(cell).casefold()
    for one in categories:
        if _canonical(one).casefold() == folded:
            return f"{what}; did you mean {one!r}?"
    known = ", ".join(map(_show, categories[:_LISTED]))
    n_more = len(categories) - _LISTED
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"{what}; the model knows {known}{more}"


def _show(cell: Any) -> str:
    """Return a cell for a message, cut if it is long."""
    text = repr(cell)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
