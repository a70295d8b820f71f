"""
Writes responses as JSON with orjson, in pieces if they are long.

Rows of data may be objects by name (records), or arrays under them (split).
"""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, final

import numpy as np
import orjson
from numpy.typing import NDArray

from app.wire import codes
from app.wire.reply import Chunk, Reply, TableColumns

# A quarter of a millisecond of writing at 60 million values a second.
PIECE_VALUES = 1 << 14
PIECE_CELLS = 1 << 12  # by name; cells of mixed kinds take about ten times as long
_Write = Callable[[NDArray[Any]], bytes]
_SIZE, _NBYTES = attrgetter("size"), attrgetter("nbytes")


@final
class Text:
    """
    A long JSON object, written piece by piece, because it is larger than its arrays.

    Every iteration writes it again.
    """

    def __init__(self, reply: Reply) -> None:
        # Arrays that cannot be written must fail here, before the status line is sent.
        self._tensors = {
            name: np.ascontiguousarray(values) for name, values in reply.tensors.items()
        }
        self._scalars, self._reply = reply.scalars, reply

    @property
    def nbytes(self) -> int:
        """The size of the arrays, which stay in memory until the end."""
        return sum(map(_NBYTES, self._tensors.values()))

    def __iter__(self) -> Iterator[bytes]:
        before = b"{"
        for name, values in self._tensors.items():
            yield before + dumps(name) + b":"
            yield from _tensor(name, values, self._reply)
            before = b","
        yield before + dumps(dict(self._scalars))[1:] if self._scalars else b"}"


def is_long(reply: Reply) -> bool:
    """Return whether a reply should be written in pieces."""
    n_values: int = sum(map(_SIZE, reply.tensors.values()))
    return n_values > (PIECE_VALUES if reply.orient == "arrays" else PIECE_CELLS)


def chunks(reply: Reply) -> list[Chunk] | Text:
    """Return a JSON object; floats have the fewest digits that round-trip."""
    if is_long(reply):
        return Text(reply)
    if reply.orient != "arrays":
        return [b"".join(Text(reply))]
    return [dumps({**reply.tensors, **reply.scalars})]


def _tensor(name: str, values: NDArray[Any], reply: Reply) -> Iterator[bytes]:
    """Write a tensor as an array, or by name."""
    columns = reply.columns.get(name)
    if columns is None or reply.orient == "arrays":
        yield from array(values)
    elif reply.orient == "records":
        yield from _rows(values, _records(columns))
    else:
        yield b'{"columns":' + dumps(columns.names) + b',"data":'
        yield from _rows(values, _cells(columns))
        yield b"}"


def _records(columns: TableColumns) -> _Write:
    """Return a function that writes rows, (n, D), as objects."""
    names, schema = columns
    if schema is not None:
        return lambda rows: dumps(
            [
                dict(zip(names, row, strict=True))
                for row in codes.cells(rows, names, schema)
            ]
        )
    keys = (dumps(name).replace(b"%", b"%%") for name in names)
    template = b"{" + b",".join(key + b":%b" for key in keys) + b"}"

    def written(rows: NDArray[Any]) -> bytes:
        # No number contains a bracket or a comma.
        each = dumps(rows)[2:-2].split(b"],[")
        return b"[" + b",".join(template % (*row.split(b","),) for row in each) + b"]"

    return written


def _cells(columns: TableColumns) -> _Write:
    """Return a function that writes rows, (n, D), as arrays of their cells."""
    names, schema = columns
    if schema is None:
        return dumps
    return lambda rows: dumps(list(codes.cells(rows, names, schema)))


def _rows(values: NDArray[Any], write_rows: _Write) -> Iterator[bytes]:
    """Write an array, (..., D), piece by piece."""
    before = b"["
    if values.ndim > 2:
        for rows in values:
            yield before
            yield from _rows(rows, write_rows)
            before = b","
    else:
        per_piece = max(1, PIECE_CELLS // values.shape[1])
        for start in range(0, len(values), per_piece):
            yield before + write_rows(values[start : start + per_piece])[1:-1]
            before = b","
    yield b"]"


def array(values: NDArray[Any]) -> Iterator[bytes]:
    """Write an array in pieces that end between rows, or within long rows."""
    row_size = values[0].size if len(values) else 1
    if row_size > PIECE_VALUES:
        before = b"["
        for row in values:
            yield before
            yield from array(row)
            before = b","
    else:
        per_piece = PIECE_VALUES // max(1, row_size)
        for start in range(0, len(values), per_piece):
            text = dumps(values[start : start + per_piece])
            yield text[:-1] if start == 0 else b"," + text[1:-1]
    yield b"]" if len(values) else b"[]"


def dumps(value: object) -> bytes:
    """Return a value as JSON; arrays too."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
