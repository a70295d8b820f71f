"""
Writes responses as Parquet, with the columns that CSV has (`table`).

Cells have types: words are dictionaries, which pandas reads as categories, and what is
missing is null. A response is complete before its first byte is sent, because the
description of the columns is at the end; it is written in row groups.
"""

import asyncio
from collections.abc import Iterator
from itertools import cycle
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from app.wire import table
from app.wire.parquet.arrow import import_arrow
from app.wire.reply import CHUNK_BYTES, Chunk, Reply
from app.wire.table import Part
from model.tables.schema import TableColumn, TableSchema

_GROUP_VALUES = 1 << 18
_MOST_WHOLE = 2**63


async def write(reply: Reply) -> list[Chunk]:
    """Return a reply, written in a thread, one row group after the other."""
    parts = table.parts(reply)
    file = await asyncio.to_thread(_ParquetOutput, parts)
    n_values = sum(len(part.names) for part in parts)
    n_rows = len(parts[0].values)
    per_group = max(1, _GROUP_VALUES // max(1, n_values))
    for start in range(0, n_rows, per_group):
        await asyncio.to_thread(file.write, slice(start, start + per_group))
    return await asyncio.to_thread(file.finish)


@final
class _ParquetOutput:
    """A file in memory."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._arrow, parquet = import_arrow()
        self._types = [kind for part in parts for kind in self._types_of(part)]
        names = [name for part in parts for name in part.names]
        fields = [*zip(names, self._types, strict=True)]
        schema = self._schema = self._arrow.schema(fields)
        self._sink = self._arrow.BufferOutputStream()
        is_word = self._arrow.types.is_dictionary
        words = [name for name, kind in fields if is_word(kind)]
        self._writer = parquet.ParquetWriter(self._sink, schema, use_dictionary=words)

    def write(self, rows: slice) -> None:
        """Write some rows."""
        columns = [column for part in self._parts for column in _columns(part, rows)]
        arrays = [
            self._arrow.array(column, kind, from_pandas=True)
            for column, kind in zip(columns, self._types, strict=True)
        ]
        batch = self._arrow.record_batch(arrays, schema=self._schema)
        self._writer.write_batch(batch)

    def finish(self) -> list[Chunk]:
        """Return the file."""
        self._writer.close()
        view = memoryview(self._sink.getvalue())
        return [view[i : i + CHUNK_BYTES] for i in range(0, len(view), CHUNK_BYTES)]

    def _types_of(self, part: Part) -> Iterator[Any]:
        """Yield the type of each column."""
        columns = part.columns
        if columns is None or columns.schema is None:
            for _ in part.names:
                yield self._arrow.from_numpy_dtype(part.values.dtype)
            return
        for name, codes in zip(cycle(columns.names), part.values.T):
            yield self._type_of_cells(name, codes, columns.schema)

    def _type_of_cells(
        self, name: str, codes: NDArray[Any], schema: TableSchema
    ) -> Any:
        """Return the type of the cells that codes of a column stand for."""
        arrow, column = self._arrow, schema.column(name)
        if column.categories is None:
            largest = np.abs(codes[np.isfinite(codes)]).max(initial=0)
            is_whole = column.width >= 1 and largest < _MOST_WHOLE
            return arrow.int64() if is_whole else arrow.float64()
        kinds = set(map(type, column.categories))
        if _are_words(column):
            return arrow.dictionary(arrow.int32(), arrow.string())
        if kinds == {bool}:
            return arrow.bool_()
        return arrow.int64() if kinds == {int} else arrow.float64()


def _are_words(column: TableColumn) -> bool:
    """Return whether categories have no type in common but text."""
    kinds = set(map(type, column.categories or ()))
    return str in kinds or (bool in kinds and len(kinds) > 1)


def _columns(part: Part, rows: slice) -> Iterator[Any]:
    """Yield the values of each column in some rows."""
    block, columns = part.values[rows], part.columns
    if columns is None or columns.schema is None:
        yield from block.T
        return
    for name, codes in zip(cycle(columns.names), block.T):
        cells = columns.schema.cells(name, codes)
        if _are_words(columns.schema.column(name)):
            cells = [None if cell is None else _text(cell) for cell in cells]
        yield cells


def _text(cell: bool | int | float | str) -> str:  # noqa: FBT001  one of the cells
    """Return a category of a column of words, as CSV has it."""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
