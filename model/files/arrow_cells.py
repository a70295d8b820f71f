"""The cells of a column of pyarrow, as the same cells in text."""

from datetime import date, time, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import numpy as np

ArrowCell = bool | int | float | str | Decimal | date | time | timedelta | None


def cells(column: Any, arrow: ModuleType) -> list[ArrowCell]:
    """
    Return the cells of a column or a part of one.

    A float has the digits of its own precision: the tenth of float32 is 0.1, because
    the digits that float64 adds are none of the data.
    """
    found: list[Any] = column.to_pylist()
    short = {arrow.float16(): np.float16, arrow.float32(): np.float32}
    write = short.get(column.type)
    if write is None:
        return found
    return [None if cell is None else float(str(write(cell))) for cell in found]
