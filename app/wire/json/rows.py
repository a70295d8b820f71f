"""
Parses a JSON body directly into a float32 array.

Nearly all of a body is its array of numbers, so the body is cut at its first `[` and
its last `]`. The rest, the skeleton, is a small document in which the array is empty;
orjson parses it. `app.wire.doubles` parses the array into a buffer. The body is valid
exactly if both parts are valid.

Long arrays are parsed in pieces (`app.wire.json.pieces`). A body that this fast path
does not accept goes to `app.wire.json.strict`, which explains the errors.
"""

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple, final

import orjson

from app.errors import Fault, UnprocessableError
from app.wire import codes
from app.wire.body import Body
from app.wire.images import data_urls
from app.wire.json import long_named, pieces, records, spaces, split, strict
from app.wire.json.arrays import Arrays, RefusedError
from app.wire.json.pieces import LongArrays
from app.wire.layout import Layout, Rows
from app.wire.threads import Threads

# The slow path is a hundred times slower. Longer bodies are explained in a thread, and
# the interpreter's thread switching keeps the event loop responsive.
_EXPLAINED_INLINE_BYTES = 1 << 13
MAX_SKELETON_BYTES = 4096
_MAX_THREADS = 2

_CACHED_SKELETONS = 64
_NESTED = re.compile(rb"\[[ \t\r\n]*\[")

Scalars = Mapping[str, Any]


@final
class ParsedBody(NamedTuple):
    """The rows of a body's array, and its other members, unchecked."""

    rows: Rows
    scalars: Scalars


@final
class ImagesInsteadError(ValueError):
    """A body has images in place of its array; `members` are all its members."""

    def __init__(self, members: dict[str, Any]) -> None:
        super().__init__("images in place of numbers")
        self.members = members


@final
class JsonRows:
    """
    Parses bodies with one array of one layout; only for the event loop's thread.

    Attributes:
        may_be_images: Whether bodies may have images in place of the array.
    """

    def __init__(self, layout: Layout, *, may_be_images: bool = False) -> None:
        self.may_be_images = may_be_images
        self._layout = layout
        self._arrays = Arrays(layout)
        self._long = LongArrays(layout, self._arrays)
        self._threads = Threads(_MAX_THREADS)

    async def read(self, body: Body) -> ParsedBody:
        """
        Parse a body.

        Raises:
            UnprocessableError: It does not match the layout.
            ContentTooLargeError: It has too many rows.
            ImagesInsteadError: It has images in place of the array.
        """
        start, stop = ends(body)
        if self._layout.columns:
            if records.begins(body, start):
                if len(body) > strict.MAX_EXPLAINED_BYTES:
                    read = partial(long_named.read_records, body, start, self._layout)
                    return ParsedBody(*await self._threads.run(read))
                return await self._read_slowly(body)
            if split.begins(body, start):
                if len(body) > strict.MAX_EXPLAINED_BYTES:
                    return await self._read_split(body)
                return await self._read_slowly(body)
        scalars = self._scalars(body, start, stop)
        if scalars is None:
            return await self._read_slowly(body)
        try:
            return ParsedBody(await self.read_array(body, start, stop + 1), scalars)
        except RefusedError:
            pass
        if len(body) <= strict.MAX_EXPLAINED_BYTES or self._may_have_images(body):
            return await self._read_slowly(body)
        rows = await self._long.read(body, start, stop + 1, pieces.EXPLAINED_BYTES)
        return ParsedBody(rows, scalars)

    async def read_array(self, body: Body, start: int, stop: int) -> Rows:
        """
        Parse the array in [start, stop) of a body.

        Raises:
            RefusedError: It is short and does not match the layout.
            UnprocessableError: It is long and does not match the layout.
            ContentTooLargeError: It has too many rows.
        """
        if stop - start > 2 * pieces.PIECE_BYTES:
            return await self._long.read(body, start, stop)
        return self._arrays.rows(body, start, stop)

    async def read_tensor(
        self, body: Body, start: int, stop: int, n_rows: int, *, shaped: bool
    ) -> Rows:
        """
        Parse the array in [start, stop) of a body, nested or flat, of so many rows.

        Raises:
            UnprocessableError: It does not match the layout, or has other rows.
            ContentTooLargeError: There are too many rows.
        """
        if not _NESTED.match(body, start):
            return await self._long.read_flat(body, start, stop, n_rows, shaped=shaped)
        try:
            rows = await self.read_array(body, start, stop)
        except RefusedError:
            text = bytes(body[start:stop])
            rows = await asyncio.to_thread(
                strict.read_rows, text, self._layout, first_row=0
            )
        if len(rows.values) != n_rows or rows.shaped != shaped:
            what = f"expected {n_rows} rows nested as in the shape, got others"
            raise UnprocessableError(Fault(self._layout.pointer(), what))
        return rows

    async def _read_split(self, body: Body) -> ParsedBody:
        """Parse a long body with a table."""
        layout = self._layout
        cut = split.cut(body)
        if cut is None:
            raise split.too_long(layout, strict.MAX_EXPLAINED_BYTES)
        members = strict.parse_members(cut.skeleton)
        table = members.pop(layout.name, None)
        if (
            not isinstance(table, dict)
            or "columns" not in table
            or table.get("data") != []
        ):
            raise split.too_long(layout, strict.MAX_EXPLAINED_BYTES)
        names, _ = split.names_and_rows(table, layout)
        order = split.order_of(names, layout)
        if codes.has_words(set(layout.columns).intersection(names), layout.schema):
            read = partial(long_named.read_split, body, cut, names, layout)
            return ParsedBody(await self._threads.run(read), members)
        data = split.data_layout(layout, len(names))
        arrays = LongArrays(data, Arrays(data))
        sent = await arrays.read(body, cut.start, cut.stop)
        rows = await asyncio.to_thread(split.reorder, sent.values, names, order, layout)
        return ParsedBody(rows, members)

    def _may_have_images(self, body: Body) -> bool:
        return self.may_be_images and data_urls.is_named(body)

    async def _read_slowly(self, body: Body) -> ParsedBody:
        if self._may_have_images(body):
            members = data_urls.members(body)
            if members is not None:
                raise ImagesInsteadError(members)
        if len(body) <= _EXPLAINED_INLINE_BYTES:
            return ParsedBody(*strict.read(body, self._layout))
        if len(body) > strict.MAX_EXPLAINED_BYTES:
            found = await asyncio.to_thread(spaces.cut, body)
            scalars = found and _members(found.skeleton, self._layout.name)
            if found is not None and scalars is not None:
                rows = await self._long.read(body, found.start, found.stop)
                return ParsedBody(rows, scalars)
        return ParsedBody(*await asyncio.to_thread(strict.read, body, self._layout))

    def _scalars(self, body: Body, start: int, stop: int) -> Scalars | None:
        """Return the members other than the array; None if the slow path is needed."""
        if start < 0 or stop < start:
            return None
        if start + len(body) - stop > MAX_SKELETON_BYTES:
            return None
        return _members(bytes(body[: start + 1] + body[stop:]), self._layout.name)


@lru_cache(maxsize=_CACHED_SKELETONS)
def _members(skeleton: bytes, name: str) -> Scalars | None:
    """Return the members other than the array; None if the slow path is needed."""
    members = distinct_members(skeleton)
    if members is None or members.pop(name, None) != []:
        return None
    return members


def distinct_members(document: bytes | bytearray) -> dict[str, Any] | None:
    """Return the members of a JSON object; None if invalid or with duplicate keys."""
    try:
        members = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    # One colon per member: a duplicate key would leave more colons than members.
    if type(members) is not dict or document.count(b":") != len(members):
        return None
    return members


def ends(body: Body) -> tuple[int, int]:
    """
    Return the positions of a body's first `[` and last `]`, -1 if not near its ends.

    The search stops at the size limit of the skeleton.
    """
    last = max(0, len(body) - MAX_SKELETON_BYTES)
    return body.find(b"[", 0, MAX_SKELETON_BYTES), body.rfind(b"]", last)


def is_named(body: Body) -> bool:
    """Return whether a body has rows by name."""
    start, _ = ends(body)
    return records.begins(body, start) or split.begins(body, start)


def outside_array(body: Body) -> Body:
    """Return the part of a body that contains its keys: of a long body, both ends."""
    if len(body) <= strict.MAX_EXPLAINED_BYTES:
        return body
    return body[:MAX_SKELETON_BYTES] + b" " + body[-MAX_SKELETON_BYTES:]
