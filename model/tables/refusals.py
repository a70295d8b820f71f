"""What a column of a table expected instead of a cell, in words."""

import re
from collections.abc import Sequence

from model.tables.cells import Cell, show

_LISTED = 8
_COMMA_IN_NUMBER = re.compile(r"\s*[-+]?[\d.]*,\d+\s*")


def refusal(cell: Cell, categories: Sequence[Cell] | None) -> str:
    """
    Return what was expected, what came, and what to write.

    Args:
        categories: Those of the column; None if it has numbers.
    """
    if categories is None:
        what = f"expected a finite number or a missing cell, got {show(cell)}"
        has_comma = isinstance(cell, str) and _COMMA_IN_NUMBER.fullmatch(cell)
        return f"{what}; write a decimal point, no comma" if has_comma else what
    return f"unknown category {show(cell)}; {known(cell, categories)}"


def known(cell: Cell, categories: Sequence[Cell]) -> str:
    """Return the category that was probably meant, or those that there are."""
    alike = [one for one in categories if _fold(one) == _fold(cell)]
    if alike:
        return f"did you mean {show(alike[0])}?"
    listed = ", ".join(map(show, categories[:_LISTED]))
    n_more = len(categories) - _LISTED
    return f"the model knows {listed}" + f" and {n_more} more" * (n_more > 0)


def _fold(cell: Cell) -> str:
    """Return a cell as text, without case and space around it."""
    return str(cell).strip().casefold()
