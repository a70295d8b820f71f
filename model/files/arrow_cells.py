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
    the digits that float64 adds are none of the data. Of times, nanoseconds are cut
    off: Python's have none.
    """
    column = _without_nanoseconds(column, arrow)
    found: list[Any] = column.to_pylist()
    short = {arrow.float16(): np.float16, arrow.float32(): np.float32}
    write = short.get(column.type)
    if write is None:
        return found
    return [None if cell is None else float(str(write(cell))) for cell in found]


def _without_nanoseconds(column: Any, arrow: ModuleType) -> Any:
    kind, types = column.type, arrow.types
    if not types.is_temporal(kind) or getattr(kind, "unit", None) != "ns":
        return column
    if types.is_timestamp(kind):
        return column.cast(arrow.timestamp("us", kind.tz), safe=False)
    new = arrow.duration if types.is_duration(kind) else arrow.time64
    return column.cast(new("us"), safe=False)
