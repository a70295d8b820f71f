"""Rows of a table, whose cells are codes, as rows in the units of the model."""

import asyncio
from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from app.wire import codes
from app.wire.layout import Layout, Rows

_THREADED_VALUES = 1 << 12  # a millisecond or so


@final
class Coding:
    """Converts the rows of requests; rows of other data stay as they are."""

    def __init__(
        self, layout: Layout, in_model_units: Callable[[Any], NDArray[np.float32]]
    ) -> None:
        self._layout = layout
        self._in_model_units = in_model_units

    async def convert(self, rows: Rows) -> Rows:
        """
        Return rows of x in the model's units.

        Raises:
            UnprocessableError: A code is no category of its column.
        """
        layout = self._layout
        values: NDArray[Any] = rows.values
        if layout.schema is None:
            return rows
        if rows.pointer_to is None:
            codes.check(values, layout, layout.schema)
        if values.size <= _THREADED_VALUES:
            return rows._replace(values=self._in_model_units(values))
        x = await asyncio.to_thread(self._in_model_units, values)
        return rows._replace(values=x)
