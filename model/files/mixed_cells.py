"""The cells of a column that may hold numbers, texts and nothing, while it is read."""

from array import array
from collections.abc import Mapping
from typing import final

import numpy as np

from model.files import numerals
from model.files.contents import DataError
from model.files.numerals import SIGNS, Decimal
from model.tables.cells import is_missing, n_decimals, show
from model.tables.raw import MAX_TEXTS, MISSING, UNKEPT, RawColumn

_MAX_CACHED, _LONGEST_CACHED = 1 << 14, 256


@final
class MixedCells:
    """The cells of a column."""

    def __init__(self, name: str, decimal: Decimal) -> None:
        self._name, self._decimal = name, decimal
        # Of each cell: its number, its text in `_texts`, and whether it has a unit.
        self._numbers, self._index = array("d"), array("i")
        self._has_unit = array("b")
        self._texts: dict[str, int] = {}
        self._n_words = 0
        self._known: dict[str, tuple[float, int, bool]] = {}
        self._n_decimals = 0
        self._units: dict[str, str] = {}  # with a cell for each
        self._digits: dict[str, str] = {}
        self._grouped: str | None = None  # the first cell with separators of thousands

    def add(self, cell: str) -> None:
        """Add a cell."""
        found = self._known.get(cell)
        if found is None:
            found = self._read(cell.strip())
            if len(cell) <= _LONGEST_CACHED and len(self._known) < _MAX_CACHED:
                self._known[cell] = found
        self._numbers.append(found[0])
        self._index.append(found[1])
        self._has_unit.append(found[2])

    def finished(self) -> RawColumn:
        """
        Return the column.

        Numbers with a unit are numbers if they all have the same; else they are texts.

        Raises:
            DataError: Most cells are numbers, and signs such as % differ between them.
        """
        numbers = np.frombuffer(self._numbers, np.float64)
        index = np.frombuffer(self._index, np.int32)
        digits: Mapping[str, str] = self._digits
        if len(self._units) > 1:
            self._check_signs(np.isfinite(numbers).sum(), (index != MISSING).sum())
            has_unit = np.frombuffer(self._has_unit, np.int8) == 1
            numbers, digits = np.where(has_unit, np.nan, numbers), {}
        return RawColumn(
            name=self._name,
            numbers=numbers,
            index=index,
            texts=tuple(self._texts),
            n_decimals=self._n_decimals,
            digits=digits,
            units=tuple(self._units),
        )

    def notes(self) -> tuple[str, ...]:
        """Return sentences on numbers with a unit and on separators of thousands."""
        return tuple(filter(None, (self._unit_note(), self._grouping_note())))

    def _grouping_note(self) -> str | None:
        cell = self._grouped
        found = None if cell is None else numerals.read(cell, self._decimal)
        if cell is None or found is None:
            return None
        return (
            f"the numbers of column {self._name!r} have separators of thousands:"
            f" {show(cell)} is read as {found.value:.15g}"
        )

    def _unit_note(self) -> str | None:
        if len(self._units) > 1 or not self._digits:
            return None
        (unit,) = self._units
        cell, digits = next(iter(self._digits.items()))
        what = f"have the unit {unit!r}" if unit else "may be in parentheses"
        return (
            f"the numbers of column {self._name!r} {what}: {show(cell)} is read as"
            f" {float(digits):.15g}"
        )

    def _check_signs(self, n_numbers: np.int64, n_present: np.int64) -> None:
        if all(unit in SIGNS for unit in self._units) and 2 * n_numbers >= n_present:
            one, other = list(self._units.values())[:2]
            raise DataError(
                f"column {self._name!r} holds {show(one)} and {show(other)}: write"
                f" all its numbers in one unit, or leave it out with --drop"
            )

    def _read(self, cell: str) -> tuple[float, int, bool]:
        """Return what is stored of a cell."""
        if is_missing(cell):
            return np.nan, MISSING, False
        found = numerals.read_with_unit(cell, self._decimal)
        if found is None or found.kind == "truth":
            return np.nan, self._kept(cell, is_word=True), False
        self._units.setdefault(found.unit, cell)
        number = found.value
        # As programs write numbers, whatever the decimal mark of the file.
        text = f"{number:.17g}"
        if found.kind == "grouped":
            self._grouped = self._grouped or cell
        if found.kind == "number":
            text = cell.replace(",", ".")
        self._count_decimals(found.digits or cell)
        if found.kind != "unit":
            return number, self._kept(text, is_word=False), False
        kept = self._kept(cell, is_word=False)
        if kept != UNKEPT:
            self._digits[cell] = text
        return number, kept, True

    def _count_decimals(self, digits: str) -> None:
        mark = self._decimal
        plain = "".join(c for c in digits if c.isdigit() or c in (mark, *"eE+-"))
        self._n_decimals = max(self._n_decimals, n_decimals(plain.replace(mark, ".")))

    def _kept(self, text: str, *, is_word: bool) -> int:
        """Return the index of a text, which is kept if there are not too many."""
        index = self._texts.get(text)
        if index is None:
            n = self._n_words if is_word else len(self._texts) - self._n_words
            if n >= MAX_TEXTS:
                return UNKEPT
            index = self._texts[text] = len(self._texts)
            self._n_words += is_word
        return index
