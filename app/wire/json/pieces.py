"""
Parses long JSON arrays piece by piece; other requests can run after each piece.

Parsers hold the interpreter lock, so another thread would not help. An array of up to
two pieces is parsed at once, which takes 0.7 ms for random doubles and 2 ms for the
shortest numbers. Of a longer one no piece is longer than `PIECE_BYTES`. Pieces are cut
between two rows where possible, and a longer row is cut at its commas. Brackets are
added to a part of a row to make it valid JSON, and its brackets and commas are compared
with those of a correct row. So the parts are all valid exactly if the array is valid.

Values are written to one buffer, whose size is known by counting commas: no number or
row is kept twice.
"""

import asyncio
import re
from functools import cached_property
from typing import Any, Never, final

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError
from app.wire import doubles
from app.wire.body import Body
from app.wire.json import strict
from app.wire.json.arrays import Arrays, RefusedError
from app.wire.layout import Layout, Rows

PIECE_BYTES = doubles.PIECE_BYTES
# A refused piece is read again in pieces short enough for the slow parser.
EXPLAINED_BYTES = 1 << 16
_COUNTED_BYTES = 1 << 20
_NUMBERS_AND_NULL = (int, float, type(None))
_COMMA = np.uint8(ord(","))
_SPACE = rb"[ \t\r\n]*+"
_NEXT_ROW = rb",(?=" + _SPACE + rb"\[)"
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[],"))
# Where to search for the end of a row in a piece; long pieces are better.
_SEARCHED_FROM = (7 / 8, 1 / 2, 0)


@final
class LongArrays:
    """Parses long arrays of one layout; only for the event loop's thread."""

    def __init__(self, layout: Layout, arrays: Arrays) -> None:
        self._layout = layout
        self._arrays = arrays
        depth = len(layout.shape)
        self._flat_end = re.compile(rb"\]" + _SPACE + _NEXT_ROW)
        self._shaped_end = re.compile((rb"\]" + _SPACE) * depth + _NEXT_ROW)
        self._start = re.compile((rb"\[" + _SPACE) * (depth + 1))

    async def read(
        self, body: Body, start: int, stop: int, piece_bytes: int = 0
    ) -> Rows:
        """
        Read the JSON array in [start, stop) of a body.

        Raises:
            UnprocessableError: It does not match the layout.
            ContentTooLargeError: It has too many rows.
        """
        layout = self._layout
        n_values = 1 + await _n_commas(body, start, stop)
        layout.check_n_rows(-(-n_values // layout.dim))
        piece_bytes = piece_bytes or PIECE_BYTES
        shaped = len(layout.shape) > 1 and bool(
            self._start.match(body, start, min(stop, start + piece_bytes))
        )
        array = _LongArray(
            layout,
            self._arrays,
            self._shaped_end if shaped else self._flat_end,
            body,
            (start + 1, stop - 1),
            np.empty(n_values, layout.dtype),
            shaped=shaped,
        )
        return await array.read(piece_bytes)

    async def read_flat(
        self, body: Body, start: int, stop: int, n_rows: int, *, shaped: bool
    ) -> Rows:
        """
        Read the JSON array in [start, stop) of a body: the values of all rows in turn.

        Args:
            shaped: Whether errors name values by their place in a shaped row.

        Raises:
            UnprocessableError: It does not contain the values of so many rows.
            ContentTooLargeError: There are too many rows.
        """
        layout = self._layout
        layout.check_n_rows(n_rows)
        n_values = n_rows * layout.dim
        if 2 * n_values > stop - start:  # each has a digit, and a comma or a bracket
            raise _not_all(layout, n_values)
        values: NDArray[Any] = np.empty(n_values, layout.dtype)
        view = memoryview(body)
        n, position, end = 0, start + 1, stop - 1
        while position <= end:
            cut = end
            if end - position > PIECE_BYTES:
                cut = body.rfind(b",", position, position + PIECE_BYTES)
            piece = b"".join((b"[", view[position : max(position, cut)], b"]"))
            try:
                part = self._arrays.values(piece)
            except RefusedError:
                if not layout.may_be_missing:
                    raise _not_all(layout, n_values) from None
                part = await asyncio.to_thread(_with_gaps, piece)
            if piece.find(b"[", 1) > 0 or not 0 < len(part) <= n_values - n:
                raise _not_all(layout, n_values)
            values[n : n + len(part)] = layout.to_values(part, n, shaped=shaped)
            n, position = n + len(part), cut + 1
            if position <= end:
                await asyncio.sleep(0)
        if n != n_values:
            raise _not_all(layout, n_values)
        return Rows(values.reshape(n_rows, -1), shaped)


def _with_gaps(piece: bytes) -> NDArray[np.float64]:
    """Return the numbers of a flat array, null as NaN; of another array, none."""
    try:
        found = orjson.loads(piece)
    except orjson.JSONDecodeError:
        found = []
    is_flat = all(type(value) in _NUMBERS_AND_NULL for value in found)
    return np.array(found if is_flat else [], np.float64)


def _not_all(layout: Layout, n_values: int) -> UnprocessableError:
    what = f"expected an array of {n_values} numbers, as the shape says"
    return UnprocessableError(Fault(layout.pointer(), what))


@final
class _LongArray:
    """The state of parsing one array."""

    def __init__(
        self,
        layout: Layout,
        arrays: Arrays,
        row_end: re.Pattern[bytes],
        body: Body,
        bounds: tuple[int, int],
        values: NDArray[np.floating],
        *,
        shaped: bool,
    ) -> None:
        self._layout = layout
        self._arrays = arrays
        self._row_end = row_end
        self._body = body
        self._view = memoryview(body)
        self._position, self._stop = bounds
        self._values = values
        self._n = 0  # values read so far
        self._shaped = shaped
        self._within = 0  # brackets and commas read of the current row
        self._depth = 0  # open arrays of the current row

    async def read(self, piece_bytes: int) -> Rows:
        while self._position < self._stop:
            end = self._row_end_within(piece_bytes) if not self._within else None
            if end is None:
                # Half as long, because a part is copied twice.
                self._read_part(self._comma_within(piece_bytes // 2))
            elif not await self._read_rows(end, explained=piece_bytes):
                piece_bytes = EXPLAINED_BYTES
            await asyncio.sleep(0)
        if self._n != len(self._values):
            self._refuse(f"expected {self._layout.wanted}, got an extra comma")
        return Rows(self._values.reshape(-1, self._layout.dim), self._shaped)

    def _row_end_within(self, n_bytes: int) -> int | None:
        """Return the end of the last row within n bytes, None if there is none."""
        position, stop = self._position, self._stop
        if stop - position <= n_bytes:
            return stop
        for share in _SEARCHED_FROM:
            first = position + int(share * n_bytes)
            found = self._row_end.search(self._body, first, position + n_bytes)
            if found is not None:
                return found.end() - 1
        return None

    def _comma_within(self, n_bytes: int) -> int:
        """Return the position of the last comma within n bytes."""
        position, stop = self._position, self._stop
        if stop - position <= n_bytes:
            return stop
        found = self._body.rfind(b",", position, position + n_bytes)
        if found < 0:
            self._refuse(f"expected a comma after at most {n_bytes} bytes")
        return found

    async def _read_rows(self, end: int, *, explained: int) -> bool:
        """Read whole rows; return False if they must be read in shorter pieces."""
        piece = b"".join((b"[", self._view[self._position : end], b"]"))
        first = self._n // self._layout.dim
        try:
            rows = self._arrays.rows(piece, 0, len(piece), first_row=first)
        except RefusedError:
            if explained > EXPLAINED_BYTES:
                return False
            rows = await asyncio.to_thread(
                strict.read_rows, piece, self._layout, first_row=first
            )
        if rows.shaped != self._shaped:
            raise strict.mixed_rows_error(self._layout)
        self._add(rows.values.reshape(-1))
        self._position = end + 1
        return True

    def _read_part(self, end: int) -> None:
        """Read a part that need not begin or end with a row."""
        text = bytes(self._view[self._position : end])
        structure = text.translate(None, _NOT_STRUCTURE)
        pattern = self._pattern
        n, last = len(structure), end == self._stop
        wanted = _from(pattern, self._within, n + (not last))
        within = (self._within + len(wanted)) % len(pattern)
        if structure != wanted[:n] or wanted[n:] not in {b"", b","}:
            self._refuse(f"expected {self._layout.wanted}, got another row")
        if last and within != len(pattern) - 1:
            self._refuse(f"expected {self._layout.wanted}, got a shorter row")
        depth = self._depth + structure.count(b"[") - structure.count(b"]")
        whole = b"".join((b"[" * (1 + self._depth), text, b"]" * (1 + depth)))
        try:
            values = self._arrays.values(whole)
        except RefusedError:
            self._refuse("expected numbers, got something else")
        self._add(self._layout.to_values(values, self._n, shaped=self._shaped))
        self._position, self._within, self._depth = end + 1, within, depth

    @cached_property
    def _pattern(self) -> bytes:
        """The brackets and commas of a row, with the comma after it."""
        layout = self._layout
        return _structure_of(layout.shape if self._shaped else (layout.dim,)) + b","

    def _add(self, values: NDArray[np.floating]) -> None:
        n = self._n + len(values)
        if n > len(self._values):
            self._refuse(f"expected {self._layout.wanted}, got rows without commas")
        self._values[self._n : n] = values
        self._n = n

    def _refuse(self, detail: str) -> Never:
        pointer = self._layout.pointer(self._n // self._layout.dim)
        raise UnprocessableError(Fault(pointer, detail))


async def _n_commas(body: Body, start: int, stop: int) -> int:
    """Count the commas of a text: one less than its numbers, if it is valid."""
    text = np.frombuffer(body, np.uint8)
    n = 0
    for first in range(start, stop, _COUNTED_BYTES):
        part = text[first : min(stop, first + _COUNTED_BYTES)]
        n += int(np.count_nonzero(part == _COMMA))
        await asyncio.sleep(0)
    return n


def _from(pattern: bytes, start: int, n: int) -> bytes:
    """Return n bytes of a repeated pattern, beginning at `start`."""
    first = pattern[start : start + n]
    more = n - len(first)
    return first + pattern * (more // len(pattern)) + pattern[: more % len(pattern)]


def _structure_of(shape: tuple[int, ...]) -> bytes:
    """Return the brackets and commas of an array of this shape."""
    text = b""
    for size in reversed(shape):
        text = b"[" + text + (b"," + text) * (size - 1) + b"]"
    return text
