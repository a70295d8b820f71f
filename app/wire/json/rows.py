"""
A JSON body straight to a float32 array.

An array of numbers is all but a few bytes of a request, so a body is cut at its first
`[` and its last `]`. What is left, the skeleton, is a small document in which the array
is empty; orjson reads it. The array goes through simdjson into a buffer of doubles. The
body is valid exactly if the skeleton is and the array is, so nothing is lost by reading
them apart.

A long array is cut further, between rows, and the event loop serves others after each
piece: simdjson holds the interpreter's lock while it parses, so another thread would
not help. What this module does not accept goes to `app.wire.json.strict`, which says
why.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, final

import numpy as np
import orjson
import simdjson

from app.http.exchange import Body
from app.wire.images import data_urls
from app.wire.json import strict
from app.wire.layout import Layout, Rows

# Half a millisecond of parsing at 1 GB/s.
PIECE_BYTES = 1 << 19
# Wording is a hundred times slower; above this size it is left to a thread, where the
# interpreter's own switching keeps the event loop alive.
_WORDED_INLINE_BYTES = 1 << 15
MAX_SKELETON_BYTES = 4096
_BRACKET = np.uint8(ord("["))
_FAR_APART = 1000  # bytes; then searching for brackets beats comparing every byte
_SPACE = rb"[ \t\r\n]*+"

_MANY_SKELETONS = 64

Scalars = Mapping[str, Any]


@final
class Document(NamedTuple):
    """What a body says: the rows of its array, and its other members unchecked."""

    rows: Rows
    scalars: Scalars


@final
class _RaggedError(ValueError):
    """The numbers are there, but not in rows of one of the accepted shapes."""


_REFUSALS = (ValueError, TypeError, RuntimeError, KeyError)  # all that simdjson raises


@final
class ImagesInsteadError(ValueError):
    """A body has images in place of its array; `members` are all it has."""

    def __init__(self, members: dict[str, Any]) -> None:
        super().__init__("images in place of numbers")
        self.members = members


@final
class JsonRows:
    """
    Reads bodies with one array of one layout; for one thread, the event loop's.

    Attributes:
        may_be_images: Whether bodies may have images in place of the array.
    """

    def __init__(self, layout: Layout, *, may_be_images: bool = False) -> None:
        self.may_be_images = may_be_images
        self._layout = layout
        self._parser = simdjson.Parser()
        depth = len(layout.shape)
        self._flat_end = re.compile(rb"\]" + _SPACE + rb",")
        self._shaped_end = re.compile((rb"\]" + _SPACE) * depth + rb",")
        self._start = re.compile((rb"\[" + _SPACE) * (depth + 1))

    async def read(self, body: Body) -> Document:
        """
        Read a whole body.

        Raises:
            UnprocessableError: It is not what the layout wants.
            ContentTooLargeError: It has too many rows.
            ImagesInsteadError: It has images, and may have.
        """
        start, stop = body.find(b"["), body.rfind(b"]")
        scalars = self._scalars(body, start, stop)
        if scalars is None:
            return await self._read_slowly(body)
        if stop - start > PIECE_BYTES:
            return Document(await self._read_pieces(body, start, stop), scalars)
        try:
            return Document(self._rows(body, start, stop + 1), scalars)
        except _REFUSALS:
            self._parser = simdjson.Parser()
        return await self._read_slowly(body)

    async def _read_slowly(self, body: Body) -> Document:
        if self.may_be_images and (members := data_urls.members(body)) is not None:
            raise ImagesInsteadError(members)
        if len(body) <= _WORDED_INLINE_BYTES:
            return Document(*strict.read(body, self._layout))
        return Document(*await asyncio.to_thread(strict.read, body, self._layout))

    def _scalars(self, body: Body, start: int, stop: int) -> Scalars | None:
        """Return the members beside the array, or None if the body needs words."""
        if start < 0 or stop < start:
            return None
        if start + len(body) - stop > MAX_SKELETON_BYTES:
            return None
        return _members(bytes(body[: start + 1] + body[stop:]), self._layout.name)

    async def _read_pieces(self, body: Body, start: int, stop: int) -> Rows:
        parts: list[Rows] = []
        n = 0
        for piece in self._pieces(body, start, stop):
            parts.append(await self._part(piece, n))
            n += len(parts[-1].values)
            self._layout.check_n_rows(n)
            await asyncio.sleep(0)
        shaped = parts[0].shaped
        if any(part.shaped != shaped for part in parts):
            raise strict.mixed(self._layout)
        return Rows(np.concatenate([part.values for part in parts]), shaped)

    def _pieces(self, body: Body, start: int, stop: int) -> Iterator[bytes]:
        """Yield the array as several JSON arrays of whole rows."""
        shaped = len(self._layout.shape) > 1 and self._start.match(body, start)
        end = self._shaped_end if shaped else self._flat_end
        position, view = start + 1, memoryview(body)
        while stop - position > PIECE_BYTES:
            found = end.search(body, position + PIECE_BYTES, stop)
            if found is None:
                break
            yield b"".join((b"[", view[position : found.end() - 1], b"]"))
            position = found.end()
        yield b"".join((b"[", view[position:stop], b"]"))

    async def _part(self, piece: bytes, first_row: int) -> Rows:
        try:
            return self._rows(piece, 0, len(piece), first_row=first_row)
        except _REFUSALS:
            self._parser = simdjson.Parser()
        return await asyncio.to_thread(
            strict.read_rows, piece, self._layout, first_row=first_row
        )

    def _rows(self, body: Body, start: int, stop: int, *, first_row: int = 0) -> Rows:
        """Return the rows of a JSON array in a body, or raise one of `_REFUSALS`."""
        array = self._parser.parse(memoryview(body)[start:stop])
        if not isinstance(array, simdjson.Array):
            raise _RaggedError
        # Flattens nested arrays; refuses strings, booleans, null and objects.
        values = np.frombuffer(array.as_buffer(of_type="d"), np.float64)
        shaped = self._check_shape(array, body, start, stop)
        self._layout.check_n_rows(len(array))
        return self._layout.to_rows(values, shaped=shaped, first_row=first_row)

    def _check_shape(
        self, array: simdjson.Array, body: Body, start: int, stop: int
    ) -> bool:
        """
        Check that an array of numbers has an accepted shape; say whether it is shaped.

        Each array down to the last dimension must have its length. If its text holds
        no more arrays than those, the innermost hold only numbers.
        """
        n, shape = len(array), self._layout.shape
        flat, n_arrays = (self._layout.dim,), 1 + n * _n_arrays(shape)
        if _has_shape(array, flat) and _n_brackets(body, start, stop, 1 + n) == 1 + n:
            return False
        if _n_brackets(body, start, stop, n_arrays) == n_arrays and _has_shape(
            array, shape
        ):
            return True
        raise _RaggedError


@lru_cache(maxsize=_MANY_SKELETONS)
def _members(skeleton: bytes, name: str) -> Scalars | None:
    """Return the members beside the array, or None if the body needs words."""
    members = distinct_members(skeleton)
    if members is None or members.pop(name, None) != []:
        return None
    return members


def distinct_members(document: bytes | bytearray) -> dict[str, Any] | None:
    """Return the members of a JSON object; None if it is none, or has a key twice."""
    try:
        members = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    # One colon per member: a key given twice would leave more colons than members.
    if type(members) is not dict or document.count(b":") != len(members):
        return None
    return members


def _n_brackets(body: Body, start: int, stop: int, most: int) -> int:
    """Return how many arrays a text opens; of more than `most`, that there are more."""
    if stop - start < most * _FAR_APART:
        text = np.frombuffer(body, np.uint8)[start:stop]
        return int(np.count_nonzero(text == _BRACKET))
    n, position = 0, body.find(b"[", start, stop)
    while position >= 0 and n <= most:
        n, position = n + 1, body.find(b"[", position + 1, stop)
    return n


def _n_arrays(shape: tuple[int, ...]) -> int:
    """Return how many arrays one row of this shape is written with."""
    return 1 if len(shape) == 1 else 1 + shape[0] * _n_arrays(shape[1:])


def _has_shape(array: simdjson.Array, shape: tuple[int, ...]) -> bool:
    """Say whether every element of an array is an array of this shape."""
    row: Any  # of a number, len() is a TypeError
    for row in array:
        if len(row) != shape[0] or (len(shape) > 1 and not _has_shape(row, shape[1:])):
            return False
    return True
