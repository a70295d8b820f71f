"""The result of a call, before it is written in a format."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from model.tables.schema import TableSchema

Chunk = bytes | memoryview
Scalar = int | str | tuple[str, ...] | None
Orient = Literal["arrays", "records", "split"]
CHUNK_BYTES = 1 << 18
FLOAT32_BYTES, FLOAT64_BYTES = 4, 8


@final
class TableColumns(NamedTuple):
    """
    The columns of a table.

    Attributes:
        schema: What the values stand for, if they are codes of cells.
    """

    names: tuple[str, ...]
    schema: TableSchema | None = None


@final
class Reply(NamedTuple):
    """
    Named arrays, the main one first, and other members.

    Attributes:
        tensors: float32, float64, int64 or bool.
        nullable: Names of tensors that may contain NaN or infinity, null in JSON.
        columns: The columns that the values along the last axis belong to, by tensor,
            where they have names.
        orient: How JSON has the tensors that are in `columns`.
    """

    tensors: dict[str, NDArray[Any]]
    scalars: Mapping[str, Scalar] = MappingProxyType({})
    nullable: Collection[str] = ()
    columns: Mapping[str, TableColumns] = MappingProxyType({})
    orient: Orient = "arrays"

    @property
    def main(self) -> NDArray[Any]:
        """The main array, with one row per row of the response."""
        return next(iter(self.tensors.values()))


def chunks(values: NDArray[Any]) -> list[Chunk]:
    """Return the bytes of an array as a list of views."""
    whole = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    return [whole[i : i + CHUNK_BYTES] for i in range(0, len(whole), CHUNK_BYTES)]
