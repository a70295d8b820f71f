"""
Writes responses as CSV (RFC 4180), one line per row, in pieces if they are long.

Rows of data are written alone, with the names of their columns: they are a table that
can be sent back. Other arrays stand side by side: one value per row is a column of the
array's name, and several are columns such as `mu.0` or `mean.height`. What is not per
row (the seed, units) is left out.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, final

import numpy as np
import orjson
from numpy.typing import NDArray

from app.wire import codes
from app.wire.codes import Cell
from app.wire.json.writer import PIECE_CELLS
from app.wire.reply import Reply, TableColumns

_DATA = "x"
_END = b"\r\n"
_TO_QUOTE = frozenset('",\r\n')


@final
class CsvText:
    """A reply as lines of CSV. Every iteration writes them again."""

    def __init__(self, reply: Reply) -> None:
        names: list[str] = []
        self._parts: list[_Part] = []
        for name, values in _tensors(reply):
            columns = reply.columns.get(name)
            names += _names(name, values, columns)
            part = np.ascontiguousarray(values.reshape(len(values), -1))
            self._parts.append(_Part(part, columns))
        self._header = ",".join(map(_quoted, names)).encode() + _END
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
            yield _lines([part.texts(rows) for part in self._parts])

    @property
    def _n_rows(self) -> int:
        return len(self._parts[0].values)


@final
class _Part(NamedTuple):
    """Columns that stand side by side, (N, columns)."""

    values: NDArray[Any]
    columns: TableColumns | None

    def texts(self, rows: slice) -> list[bytes]:
        """Return the cells of each row, with commas between them."""
        block, columns = self.values[rows], self.columns
        if columns is not None and columns.schema is not None:
            found = codes.cells(block, columns.names, columns.schema)
            return [",".join(map(_text, cells)).encode() for cells in found]
        # orjson writes [[1,2],[3,4]], with null for NaN; no value contains a bracket.
        text = orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY)
        return text[2:-2].replace(b"null", b"").split(b"],[")


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


def _lines(parts: Sequence[Sequence[bytes]]) -> bytes:
    """Return lines of the texts of each part."""
    return b"".join(b",".join(cells) + _END for cells in zip(*parts, strict=True))


def _text(cell: Cell) -> str:
    """Return a cell as text."""
    if isinstance(cell, str):
        return _quoted(cell)
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else repr(cell)


def _quoted(name: str) -> str:
    if _TO_QUOTE.isdisjoint(name):
        return name
    return '"' + name.replace('"', '""') + '"'
