"""Writes responses as CSV (RFC 4180), one line per row, in pieces if they are long."""

from collections.abc import Iterator, Sequence
from typing import final

import orjson

from app.wire import codes, table
from app.wire.json.writer import PIECE_CELLS
from app.wire.reply import Reply
from app.wire.table import Part
from model.tables.cells import Cell

_END = b"\r\n"
_TO_QUOTE = frozenset('",\r\n')


@final
class CsvText:
    """A reply as lines of CSV. Every iteration writes them again."""

    def __init__(self, reply: Reply) -> None:
        self._parts = table.parts(reply)
        names = [name for part in self._parts for name in part.names]
        self._header = ",".join(map(_quote, names)).encode() + _END
        self._n_values = max(1, len(names))

    @property
    def nbytes(self) -> int:
        """The size of the arrays, which stay in memory until the end."""
        return len(self._header) + sum(part.values.nbytes for part in self._parts)

    @property
    def is_long(self) -> bool:
        """Whether it should be written in pieces."""
        return self._n_rows * self._n_values > PIECE_CELLS

    def __iter__(self) -> Iterator[bytes]:
        yield self._header
        per_piece = max(1, PIECE_CELLS // self._n_values)
        for start in range(0, self._n_rows, per_piece):
            rows = slice(start, start + per_piece)
            yield _lines([_texts(part, rows) for part in self._parts])

    @property
    def _n_rows(self) -> int:
        return len(self._parts[0].values)


def _texts(part: Part, rows: slice) -> list[bytes]:
    """Return the cells of some rows, with commas between them."""
    block, columns = part.values[rows], part.columns
    if columns is not None and columns.schema is not None:
        found = codes.cells(block, columns.names, columns.schema)
        return [",".join(map(_text, cells)).encode() for cells in found]
    # orjson writes [[1,2],[3,4]], with null for NaN; no value contains a bracket.
    text = orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].replace(b"null", b"").split(b"],[")


def _lines(parts: Sequence[Sequence[bytes]]) -> bytes:
    """Return lines of the texts of each part."""
    return b"".join(b",".join(cells) + _END for cells in zip(*parts, strict=True))


def _text(cell: Cell) -> str:
    """Return a cell as text."""
    if isinstance(cell, str):
        return _quote(cell)
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else repr(cell)


def _quote(name: str) -> str:
    if _TO_QUOTE.isdisjoint(name):
        return name
    return '"' + name.replace('"', '""') + '"'
