"""
Writes responses as JSON with orjson, in pieces if they are long.

Rows of data may be objects by name (records), or arrays under them (split).
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, final

import numpy as np
import orjson
from numpy.typing import NDArray

from app.wire.reply import Chunk, Reply

# A quarter of a millisecond of writing at 60 million values a second.
PIECE_VALUES = 1 << 14
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
    return n_values > PIECE_VALUES


def write(reply: Reply) -> Chunk:
    """Return a JSON object; floats have the fewest digits that round-trip."""
    if reply.orient != "arrays":
        return b"".join(Text(reply))
    return dumps({**reply.tensors, **reply.scalars})


def _tensor(name: str, values: NDArray[Any], reply: Reply) -> Iterator[bytes]:
    columns = reply.columns.get(name)
    if columns is None or reply.orient == "arrays":
        yield from array(values)
    elif reply.orient == "split":
        yield b'{"columns":' + dumps([*columns]) + b',"data":'
        yield from array(values)
        yield b"}"
    else:
        yield from _records(values, _template(columns))


def _template(columns: Sequence[str]) -> bytes:
    """Return the format of one record."""
    names = (dumps(name).replace(b"%", b"%%") for name in columns)
    return b"{" + b",".join(name + b":%b" for name in names) + b"}"


def _records(values: NDArray[Any], template: bytes) -> Iterator[bytes]:
    """Write an array, (..., D), with an object for each row."""
    before = b"["
    if values.ndim > 2:
        for rows in values:
            yield before
            yield from _records(rows, template)
            before = b","
    else:
        per_piece = max(1, PIECE_VALUES // values.shape[1])
        for start in range(0, len(values), per_piece):
            # No number contains a bracket or a comma.
            rows = dumps(values[start : start + per_piece])[2:-2].split(b"],[")
            yield before + b",".join(template % (*row.split(b","),) for row in rows)
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
