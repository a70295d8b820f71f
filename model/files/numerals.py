"""Numbers in the cells of a table, with a decimal point or comma."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

Decimal = Literal[".", ","]

_DIGITS = r"(?:\d+{d}?\d*|{d}\d+)(?:[eE][+-]?\d+)?"
_PLAIN = {
    d: re.compile(rf"\s*[+-]?{_DIGITS.format(d=re.escape(d))}\s*", re.ASCII)
    for d in ".,"
}
# 1,234,567.5 and 1.234.567,5; with spaces and apostrophes, 1 234,5 and 1'234.5.
_GROUPED = (
    r"\s*[+-]?[1-9]\d{{0,2}}([{s}' \u00a0\u202f])\d{{3}}(?:\1\d{{3}})*(?:[{d}]\d*)?\s*"
)
_GROUPS = {
    d: re.compile(_GROUPED.format(d=d, s=s), re.ASCII)
    for d, s in ((".", ","), (",", "."))
}
_TRUTH = {"true": 1.0, "false": 0.0}  # True of Python, TRUE of R and spreadsheets
_MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "?", "-", "."}


@final
@dataclass(frozen=True)
class Reading:
    """
    What a cell means.

    Attributes:
        kind: "number", "grouped" with separators of thousands, or "truth".
    """

    value: float
    kind: Literal["number", "grouped", "truth"]


def read(cell: str, decimal: Decimal) -> Reading | None:
    """Return the number in a cell, or None if there is none that is finite."""
    if _PLAIN[decimal].fullmatch(cell):
        return _finite(cell.replace(",", "."), "number")
    if _GROUPS[decimal].fullmatch(cell):
        digits = "".join(c for c in cell if c.isdigit() or c in ("+", "-", decimal))
        return _finite(digits.replace(",", "."), "grouped")
    truth = _TRUTH.get(cell.strip().lower())
    return None if truth is None else Reading(truth, "truth")


def is_number(cell: str) -> bool:
    """Say whether a cell is a number with either decimal mark."""
    return read(cell, ".") is not None or read(cell, ",") is not None


def is_missing(cell: str) -> bool:
    """Say whether a cell is what programs write for a missing value."""
    return cell.strip().lower() in _MISSING


def is_integer(cell: str) -> bool:
    """Say whether a cell is written as an integer."""
    digits = cell.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit()


def count(cells: Sequence[str]) -> bool:
    """Say whether cells are 0, 1, 2, ... or 1, 2, 3, ..."""
    if not cells or not all(map(is_integer, cells)):
        return False
    numbers = [int(cell) for cell in cells]
    first = numbers[0]
    return first in (0, 1) and numbers == list(range(first, first + len(numbers)))


def mark_of(cell: str) -> Literal[".", ",", "1,234", "1.234"] | None:
    """
    Return the decimal mark that a cell shows.

    None if it shows none; 1,234 and 1.234 stand for numbers that can be read both ways.
    """
    with_point, with_comma = read(cell, "."), read(cell, ",")
    if (with_point is None) == (with_comma is None):
        if with_point == with_comma:
            return None
        return "1,234" if "," in cell else "1.234"
    return "." if with_comma is None else ","


def _finite(digits: str, kind: Literal["number", "grouped"]) -> Reading | None:
    value = float(digits)
    return Reading(value, kind) if math.isfinite(value) else None
