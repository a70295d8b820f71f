"""Columns as they stand in a file, before their kinds are known."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.tables.schema import MAX_CATEGORIES

MAX_TEXTS = MAX_CATEGORIES + 24  # distinct cells of a column that are kept
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
    """

    name: str
    numbers: NDArray[np.float64]
    index: NDArray[np.int32]
    texts: tuple[str, ...]
    n_decimals: int

    @property
    def is_present(self) -> NDArray[np.bool_]:
        """Whether each cell has a value."""
        present: NDArray[np.bool_] = self.index != MISSING
        return present

    @property
    def is_text(self) -> NDArray[np.bool_]:
        """Whether each cell has a value that is no number."""
        text: NDArray[np.bool_] = self.is_present & np.isnan(self.numbers)
        return text
