"""The array that a call takes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from app.wire import codes
from app.wire.json.rows import JsonRows
from app.wire.layout import Layout, Rows
from app.wire.negotiation import Formats
from model.checkpoint import Checkpoint
from model.raw_values import RawValues

_THREADED_VALUES = 1 << 12  # a millisecond or so


@final
class Input(NamedTuple):
    """
    The array that a call takes: its layout, its JSON reader and its formats.

    Attributes:
        in_model_units: Converts codes of a table's cells to what the model computes
            with.
    """

    layout: Layout
    json: JsonRows
    readable: Formats
    in_model_units: Callable[[NDArray[Any]], NDArray[np.float32]]

    async def convert(self, rows: Rows) -> Rows:
        """
        Return rows of a table in the model's units; other rows have them already.

        Raises:
            UnprocessableError: A code is not a category of its column.
        """
        layout = self.layout
        values: NDArray[Any] = rows.values
        if layout.schema is None:
            return rows
        if rows.pointer_to is None:
            codes.check(values, layout, layout.schema)
        if values.size <= _THREADED_VALUES:
            return rows._replace(values=self.in_model_units(values))
        x = await asyncio.to_thread(self.in_model_units, values)
        return rows._replace(values=x)


def layout_of_data(served: Checkpoint, raw: RawValues, max_rows: int) -> Layout:
    """Return the layout of the rows of x, of any model."""
    config = served.config
    x = Layout("x", config.data_shape, max_rows, raw, served.vae.units)
    x = replace(x, columns=config.data.columns or ())
    if config.table is None:
        return x
    return replace(x, dtype=np.float64, may_be_missing=True, schema=config.table)
