"""
Writes responses as CSV (RFC 4180), one line per row, in pieces if they are long.

Rows of data are written alone, with the names of their columns: they are a table that
can be sent back. Other arrays stand side by side: one value per row is a column of the
array's name, and several are columns such as `mu.0` or `mean.height`. What is not per
row (the seed, units) is left out.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from operator import attrgetter
from typing import Any, final

import numpy as np
import orjson
from numpy.typing import NDArray

from app.wire.json.writer import PIECE_VALUES
from app.wire.reply import Reply

_DATA = "x"
_END = b"\r\n"
_TO_QUOTE = frozenset('",\r\n')
_NBYTES = attrgetter("nbytes")


@final
class Table:
    """A reply as lines of CSV. Every iteration writes them again."""

    def __init__(self, reply: Reply) -> None:
        names: list[str] = []
        self._columns: list[NDArray[Any]] = []
        for name, values in _tensors(reply):
            names += _names(name, values, reply.columns.get(name))
            self._columns.append(np.ascontiguousarray(values.reshape(len(values), -1)))
        self._header = ",".join(map(_quoted, names)).encode() + _END
        self._n_values = max(1, len(names))

    @property
    def nbytes(self) -> int:
        """The size of the arrays, which stay in memory until the end."""
        n_bytes: int = sum(map(_NBYTES, self._columns))
        return len(self._header) + n_bytes

    @property
    def is_long(self) -> bool:
        """Whether it should be written in pieces."""
        return len(self._columns[0]) * self._n_values > PIECE_VALUES

    def __iter__(self) -> Iterator[bytes]:
        yield self._header
        per_piece = max(1, PIECE_VALUES // self._n_values)
        for start in range(0, len(self._columns[0]), per_piece):
            yield _lines([c[start : start + per_piece] for c in self._columns])


def _tensors(reply: Reply) -> Sequence[tuple[str, NDArray[Any]]]:
    """Return the arrays that are written; rows of data stand alone, draws as rows."""
    if _DATA not in reply.tensors:
        return [*reply.tensors.items()]
    x = reply.tensors[_DATA]
    return [(_DATA, x.reshape(-1, len(reply.columns[_DATA])))]


def _names(
    name: str, values: NDArray[Any], columns: Sequence[str] | None
) -> Sequence[str]:
    """Return the names of the columns of an array, (N, ...)."""
    if name == _DATA and columns is not None:
        return columns
    axes: list[Sequence[object]] = [range(size) for size in values.shape[1:]]
    if columns is not None:
        axes[-1] = columns
    return [".".join(map(str, (name, *index))) for index in product(*axes)]


def _lines(blocks: Sequence[NDArray[Any]]) -> bytes:
    """Write lines; block by block, (n, columns), with the digits of JSON."""
    # orjson writes [[1,2],[3,4]], with null for NaN; no value contains a bracket.
    texts = [
        orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2]
        .replace(b"null", b"")
        .split(b"],[")
        for block in blocks
    ]
    return b"".join(b",".join(cells) + _END for cells in zip(*texts, strict=True))


def _quoted(name: str) -> str:
    if _TO_QUOTE.isdisjoint(name):
        return name
    return '"' + name.replace('"', '""') + '"'
