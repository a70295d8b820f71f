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
SIGNS = "%\u2030$€£¥₹"
_TYPOGRAPHY = str.maketrans("\u2212\u2019", "-'")  # a minus, and an apostrophe
# $5, 5 %, 5 kg, -$5, ($5): a sign before the number, or a sign or a word after it.
_WITH_UNIT = re.compile(
    rf"(?P<open>\()?(?P<minus>[+-]?)(?P<before>[{SIGNS}])? ?"
    r"(?P<number>[+-]?[.,]?[0-9](?:[0-9.,' \u00a0\u202f]*[0-9.,])?(?:[eE][+-]?[0-9]+)?)"
    rf"[ \u00a0\u202f]?(?P<after>[{SIGNS}]"
    r"|°?[^\W\d_]{1,5}[²³]?(?:/[^\W\d_]{1,5})?)?"
    r"(?P<close>\))?"
)
_LONGEST_WITH_UNIT = 40


@final
@dataclass(frozen=True)
class CellReading:
    """
    What a cell means.

    Attributes:
        kind: "number", "grouped" with separators of thousands, "truth", or "unit" with
            a unit or in parentheses, as accountants write negative numbers.
        unit: The unit of a "unit", such as "%".
        digits: The number of a "unit" alone, as it stands in the cell.
    """

    value: float
    kind: Literal["number", "grouped", "truth", "unit"]
    unit: str = ""
    digits: str = ""


def read(cell: str, decimal: Decimal) -> CellReading | None:
    """Return the number in a cell, or None if there is none that is finite."""
    cell = cell.translate(_TYPOGRAPHY)
    if _PLAIN[decimal].fullmatch(cell):
        return _finite(cell.replace(",", "."), "number")
    if _GROUPS[decimal].fullmatch(cell):
        digits = "".join(c for c in cell if c.isdigit() or c in ("+", "-", decimal))
        return _finite(digits.replace(",", "."), "grouped")
    truth = _TRUTH.get(cell.strip().lower())
    return None if truth is None else CellReading(truth, "truth")


def read_with_unit(cell: str, decimal: Decimal) -> CellReading | None:
    """Return the number in a cell, which may have a unit, as in `CellReading`."""
    plain = read(cell, decimal)
    parts = None if plain is not None else _parts(cell)
    if parts is None:
        return plain
    found = read(parts["number"], decimal)
    if found is None:
        return None
    is_negative = bool(parts["open"]) or parts["minus"] == "-"
    return CellReading(
        value=-found.value if is_negative else found.value,
        kind="unit",
        unit=parts["before"] or parts["after"] or "",
        digits=parts["number"],
    )


def is_number(cell: str) -> bool:
    """Say whether a cell is a number with either decimal mark."""
    return read(cell, ".") is not None or read(cell, ",") is not None


def is_number_with_unit(cell: str) -> bool:
    """Say whether a cell is a number, or one with a unit."""
    return is_number(cell) or _parts(cell) is not None


def is_integer(cell: str) -> bool:
    """Say whether a cell is written as an integer."""
    digits = cell.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit()


def are_consecutive(cells: Sequence[str]) -> bool:
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
    with_point, with_comma = read_with_unit(cell, "."), read_with_unit(cell, ",")
    values = [None if r is None else r.value for r in (with_point, with_comma)]
    if (with_point is None) == (with_comma is None):
        if values[0] == values[1]:
            return None
        return "1,234" if "," in cell else "1.234"
    return "." if with_comma is None else ","


def _parts(cell: str) -> re.Match[str] | None:
    """Return the number and the unit of a cell, None without a unit."""
    if len(cell) > _LONGEST_WITH_UNIT:
        return None
    found = _WITH_UNIT.fullmatch(cell.strip().translate(_TYPOGRAPHY))
    if found is None or (found["open"] is None) != (found["close"] is None):
        return None
    n_units = (found["before"] is not None) + (found["after"] is not None)
    is_signed = bool(found["open"] or found["minus"])
    if n_units > 1 or not (n_units or found["open"]):
        return None
    return None if is_signed and found["number"][0] in "+-" else found


def _finite(digits: str, kind: Literal["number", "grouped"]) -> CellReading | None:
    value = float(digits)
    return CellReading(value, kind) if math.isfinite(value) else None
