"""Parquet written by hand, field by field, so that it can say what is not true."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.wire.parquet import layout
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

Fields = Mapping[int, Item | None]


def levels(n: int) -> bytes:
    """Return the definition levels of n values that are there: one run."""
    run = write_struct({1: Item(I64, n)})[1:-1]  # the zigzag varint of n is that of 2 n
    body = run + b"\x01"
    return len(body).to_bytes(4, "little") + body


def page(content: bytes, n: int, **said: int) -> bytes:
    """Return a page of plain data, with what its head says instead of the truth."""
    about = {1: Item(I32, n), 2: Item(I32, said.get("encoding", 0))}
    about |= {3: Item(I32, 3), 4: Item(I32, 3)}
    head: Fields = {
        1: Item(I32, said.get("kind", layout.DATA_PAGE)),
        2: Item(I32, said.get("unpacked", len(content))),
        3: Item(I32, said.get("packed", len(content))),
        5: Item(STRUCT, about),
    }
    return write_struct(head) + content


def dictionary(content: bytes, n: int) -> bytes:
    """Return a page of words."""
    about = {1: Item(I32, n), 2: Item(I32, layout.PLAIN)}
    size = Item(I32, len(content))
    head = {1: Item(I32, layout.DICTIONARY_PAGE), 2: size, 3: size}
    return write_struct({**head, 7: Item(STRUCT, about)}) + content


def file(
    pages: Sequence[bytes],
    n_rows: int,
    *,
    leaf: Fields | None = None,
    about: Fields | None = None,
    chunk: Fields | None = None,
    whole: Fields | None = None,
    n_groups: int = 1,
) -> bytes:
    """Return a file with a column `a`, with fields of its footer replaced."""
    content = b"".join(pages)
    column: Fields = {
        1: Item(I32, layout.DOUBLE),
        3: Item(I32, layout.OPTIONAL),
        4: Item(BINARY, b"a"),
    }
    column = by_number({**column, **(leaf or {})})
    kind: Any = column[1]
    places: Fields = {
        1: kind,
        2: Item(LIST, Items(I32, [0])),
        3: Item(LIST, Items(BINARY, [b"a"])),
        4: Item(I32, layout.UNCOMPRESSED),
        5: Item(I64, n_rows),
        6: Item(I64, len(content)),
        7: Item(I64, len(content)),
        9: Item(I64, len(layout.MAGIC)),
    }
    places = by_number({**places, **(about or {})})
    stored: Fields = {2: Item(I64, 0), 3: Item(STRUCT, places)}
    stored = by_number({**stored, **(chunk or {})})
    group = {
        1: Item(LIST, Items(STRUCT, [stored])),
        2: Item(I64, len(content)),
        3: Item(I64, n_rows),
    }
    root = {4: Item(BINARY, b"schema"), 5: Item(I32, 1)}
    footer: Fields = {
        1: Item(I32, 2),
        2: Item(LIST, Items(STRUCT, [root, column])),
        3: Item(I64, n_rows * n_groups),
        4: Item(LIST, Items(STRUCT, [group] * n_groups)),
    }
    text = write_struct(by_number({**footer, **(whole or {})}))
    size = len(text).to_bytes(4, "little")
    return b"".join((layout.MAGIC, content, text, size, layout.MAGIC))


def by_number(fields: Fields) -> Fields:
    """Return fields with their numbers rising."""
    return dict(sorted(fields.items()))
