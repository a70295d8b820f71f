"""
A reply as a table: the columns that CSV and Parquet have.

Rows of data are alone, with the names of their columns: they are a table that can be
sent back. Other arrays stand side by side: one value per row is a column of the array's
name, and several are columns such as `mu.0` or `mean.height`. What is not per row (the
seed, units) is left out.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from app.wire.reply import Reply, TableColumns

_DATA = "x"


@final
class Part(NamedTuple):
    """
    Columns that stand side by side.

    Attributes:
        values: One row for each row of the table, (N, columns).
        columns: The columns of the model that they belong to, over and over.
    """

    names: Sequence[str]
    values: NDArray[Any]
    columns: TableColumns | None


def parts(reply: Reply) -> list[Part]:
    """Return the columns of a reply, array by array."""
    found = []
    for name, values in _tensors(reply):
        columns = reply.columns.get(name)
        together = np.ascontiguousarray(values.reshape(len(values), -1))
        found.append(Part(_names(name, values, columns), together, columns))
    return found


def _tensors(reply: Reply) -> Sequence[tuple[str, NDArray[Any]]]:
    """Return the arrays that are written; rows of data stand alone, draws as rows."""
    if _DATA not in reply.tensors:
        return [*reply.tensors.items()]
    x = reply.tensors[_DATA]
    return [(_DATA, x.reshape(-1, x.shape[-1]))]


def _names(
    name: str, values: NDArray[Any], columns: TableColumns | None
) -> Sequence[str]:
    """Return the names of the columns of an array, (N, ...)."""
    if name == _DATA and columns is not None:
        return columns.names
    axes: list[Sequence[object]] = [range(size) for size in values.shape[1:]]
    if columns is not None:
        axes[-1] = columns.names
    return [".".join(map(str, (name, *index))) for index in product(*axes)]
