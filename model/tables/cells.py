"""Cells of a table as programs write them: numbers, texts, truth values, nothing."""

import math
import re

Cell = str | float | bool | None

_MISSING = frozenset(["", "na", "n/a", "#n/a", "nan", "null", "?"])
# What people and programs write where a number is missing. In a column of words these
# may be words: "none", or "-" for negative.
_MISSING_NUMBERS = _MISSING.union(
    ["n.a.", "n.a", "n/a.", "na.", "<na>", "-nan", "none", "nil", "missing", "unknown"],
    [
        "not available",
        "n.d.",
        "nd",
        "-",
        "--",
        "---",
        "\u2013",
        "\u2014",
        ".",
        "..",
        "...",
    ],
    ["#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!", "#wert!", "#bezug!"],
    ["k.a.", "k. a.", "keine angabe", "unbekannt"],
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LONGEST_SHOWN = 40  # characters of a cell in a message
_TRUTH = {"true": 1.0, "false": 0.0}
_LARGEST_INTEGER = 1 << 53  # from here on not every integer is a double


def is_missing(cell: Cell) -> bool:
    """Say whether there is no value: None, NaN, or a text that stands for one."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING
    return math.isnan(cell)


def is_missing_number(cell: Cell) -> bool:
    """Say whether a cell of a column of numbers has no value."""
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING_NUMBERS
    return is_missing(cell)


def number_of(cell: Cell) -> float | None:
    """Return the finite number that a cell is, None if it is none."""
    if cell is None or isinstance(cell, bool):
        return None
    if isinstance(cell, str):
        digits = cell.strip()  # of more characters than `float` takes for spaces
        if not _NUMBER.fullmatch(digits):
            return None
        cell = float(digits)
    return float(cell) if math.isfinite(cell) else None


def is_truth(cell: str) -> bool:
    """Say whether a text is a truth value: True of Python, TRUE of R, true of JSON."""
    return cell.strip().lower() in _TRUTH


def canonical(cell: Cell) -> str:
    """Return one text for all ways to write a category: 3 and 3.0 are one."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str):
        return cell.strip()
    return "" if cell is None else f"{float(cell):.17g}"


def n_decimals(cell: str) -> int:
    """Return how many decimals a number is written with; 3 for 0.125 and 125e-3."""
    digits, _, exponent = cell.strip().lower().partition("e")
    return max(0, len(digits.partition(".")[2].rstrip("0")) - int(exponent or 0))


def round_number(number: float, n_decimals: int | None) -> float | None:
    """Return a number rounded, None decimals to an integer; None if not finite."""
    if abs(number) < _LARGEST_INTEGER:
        return round(number, n_decimals)
    return number if math.isfinite(number) else None


def show(cell: Cell) -> str:
    """Return a cell for a message, cut if it is long."""
    if isinstance(cell, bool):
        return str(cell).lower()
    text = repr(cell)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
