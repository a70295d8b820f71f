"""
Writes the footer that pyarrow reads in place of that of a body.

It describes the columns that are read, and nothing else: pyarrow sees no name, text or
number that a client wrote, but for the pages themselves.
"""

from collections.abc import Sequence

from app.wire.parquet import layout
from app.wire.parquet.layout import Column, ColumnChunk, RowGroup
from app.wire.parquet.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    Item,
    Items,
    write_struct,
)

_VERSION = 2
_PLAIN = Items(I32, [layout.PLAIN])
_ROOT = {4: Item(BINARY, b"schema")}
_FLOAT16 = {layout.LOGICAL_FLOAT16: Item(STRUCT, {})}


def name_of(i: int) -> str:
    """Return the name of a column in the footer, by its place there."""
    return f"c{i}"


def file_of(columns: Sequence[Column], groups: Sequence[RowGroup]) -> bytes:
    """Return a file of a footer alone, for row groups of a body."""
    root = {**_ROOT, 5: Item(I32, len(columns))}
    leaves = [_element(i, column) for i, column in enumerate(columns)]
    footer = write_struct(
        {
            1: Item(I32, _VERSION),
            2: Item(LIST, Items(STRUCT, [root, *leaves])),
            3: Item(I64, sum(group.n_rows for group in groups)),
            4: Item(LIST, Items(STRUCT, [_group(group) for group in groups])),
            6: Item(BINARY, b"vae-service"),
        }
    )
    size = len(footer).to_bytes(4, "little")
    return b"".join((layout.MAGIC, footer, size, layout.MAGIC))


def _element(i: int, column: Column) -> dict[int, Item | None]:
    is_decimal = column.what == "decimal"
    is_fixed = column.physical == layout.FIXED
    is_short = is_fixed and not is_decimal
    repetition = layout.OPTIONAL if column.is_optional else layout.REQUIRED
    converted = column.converted
    return {
        1: Item(I32, column.physical),
        2: Item(I32, column.length) if is_fixed else None,
        3: Item(I32, repetition),
        4: Item(BINARY, name_of(i).encode()),
        6: None if converted is None else Item(I32, converted),
        7: Item(I32, column.scale) if is_decimal else None,
        8: Item(I32, column.precision) if is_decimal else None,
        10: Item(STRUCT, _FLOAT16) if is_short else None,
    }


def _group(group: RowGroup) -> dict[int, Item]:
    chunks = [_chunk(i, chunk) for i, chunk in enumerate(group.chunks)]
    size = sum(chunk.end - chunk.start for chunk in group.chunks)
    return {
        1: Item(LIST, Items(STRUCT, chunks)),
        2: Item(I64, size),
        3: Item(I64, group.n_rows),
    }


def _chunk(i: int, chunk: ColumnChunk) -> dict[int, Item]:
    size = chunk.end - chunk.start
    about: dict[int, Item] = {
        1: Item(I32, chunk.column.physical),
        2: Item(LIST, _PLAIN),
        3: Item(LIST, Items(BINARY, [name_of(i).encode()])),
        4: Item(I32, chunk.codec),
        5: Item(I64, chunk.n_values),
        6: Item(I64, size),
        7: Item(I64, size),
        9: Item(I64, chunk.start),  # where a dictionary may be, too
    }
    return {2: Item(I64, chunk.start), 3: Item(STRUCT, about)}
