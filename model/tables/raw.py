"""Columns as they stand in a file, before their kinds are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from model.tables.cells import is_missing_number
from model.tables.schema import MAX_CATEGORIES

MAX_TEXTS = MAX_CATEGORIES + 24  # distinct numbers, and words, that are kept as texts
MISSING, UNKEPT = -1, -2


@final
@dataclass(frozen=True, eq=False)
class RawColumn:
    """
    The cells of one column.

    Attributes:
        numbers: Their numbers, NaN where there is none, (N,).
        index: Of each cell, its text in `texts`; `MISSING` where there is no value, and
            `UNKEPT` for a text that came after `MAX_TEXTS` others, (N,).
        texts: Distinct cells.
        n_decimals: The most decimals of a number.
        digits: The number alone of texts that are numbers with a unit.
        units: The units of its numbers, "" of those without one.
    """

    name: str
    numbers: NDArray[np.float64]
    index: NDArray[np.int32]
    texts: tuple[str, ...]
    n_decimals: int
    digits: Mapping[str, str] = field(default_factory=dict)
    units: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit of all its numbers, "" if they have none or several."""
        return self.units[0] if len(self.units) == 1 else ""

    @property
    def first_number(self) -> int:
        """The row of the first number."""
        return int(np.argmax(np.isfinite(self.numbers)))

    @property
    def is_present(self) -> NDArray[np.bool_]:
        """Whether each cell has a value."""
        present: NDArray[np.bool_] = self.index != MISSING
        return present

    @property
    def is_text(self) -> NDArray[np.bool_]:
        """Whether each cell has a value that is not a number."""
        text: NDArray[np.bool_] = self.is_present & np.isnan(self.numbers)
        return text

    @property
    def words(self) -> tuple[str, ...]:
        """The distinct texts that are not numbers, of those that are kept."""
        used = np.unique(self.index[self.is_text])
        return tuple(self.texts[i] for i in used if i >= 0)

    @property
    def last_word(self) -> str | None:
        """The text in the last row, if no other row has it."""
        if not self.is_text[-1] or self.index[-1] < 0:
            return None
        is_only = np.count_nonzero(self.index == self.index[-1]) == 1
        return self.texts[self.index[-1]] if is_only else None

    def as_numbers(self) -> Self:
        """Return the column with cells missing where a number would be missing."""
        missing = [i for i, text in enumerate(self.texts) if is_missing_number(text)]
        if not missing:
            return self
        gone = np.isin(self.index, missing)
        return replace(self, index=np.where(gone, np.int32(MISSING), self.index))
