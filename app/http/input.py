"""The array that a call takes."""

from dataclasses import replace
from typing import NamedTuple, final

import numpy as np

from app.http.coding import Coding
from app.wire.json.rows import JsonRows
from app.wire.layout import Layout
from app.wire.negotiation import Formats
from model.checkpoint import Checkpoint
from model.raw_values import RawValues


@final
class Input(NamedTuple):
    """
    The array that a call takes: its layout, its JSON reader and its formats.

    Attributes:
        coding: Converts rows as they are read to those that the model computes with.
    """

    layout: Layout
    json: JsonRows
    readable: Formats
    coding: Coding


def layout_of_data(served: Checkpoint, raw: RawValues, max_rows: int) -> Layout:
    """Return the layout of the rows of x, of any model."""
    config = served.config
    x = Layout("x", config.data_shape, max_rows, raw, served.vae.units)
    x = replace(x, columns=config.data.columns or ())
    if config.table is None:
        return x
    return replace(x, dtype=np.float64, may_be_missing=True, schema=config.table)
