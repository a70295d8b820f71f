"""
A request's body: collected from its messages, counted, and decompressed.

A gzip body is decompressed in steps, so that its size is known before it takes memory,
other requests are served in between, and a cancelled request ends. Its limit is that of
any body, counted after decompression; besides, its ratio is limited, so that no client
can fill the memory of the service with a few kilobytes.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Never, final

from starlette.types import Message

from app.errors import (
    CLOSE,
    ContentTooLargeError,
    DisconnectedError,
    Fault,
    UnprocessableError,
)
from app.http.body_budget import BodyBudget, grow
from app.http.compression import GZIP
from app.http.freed_memory import return_pages
from app.wire.body import Body

# Zeros shrink to a thousandth, rows of real data rarely to a fiftieth.
MAX_RATIO = 200
FREE_BYTES = 1 << 20  # bodies up to this size may have any ratio
_STEP_BYTES = 1 << 18  # about half a millisecond
_FED_BYTES = 1 << 16  # what zlib does not use of it, it copies
# A first step that takes no more than a fifth of a millisecond runs in the event loop.
_INLINE_BYTES, _INLINE_STEP_BYTES = 1 << 13, 1 << 16
_CODINGS = frozenset({b"gzip", b"x-gzip"})


def is_gzip(content_encoding: bytes | None) -> bool:
    """Return whether a body with this Content-Encoding is to be decompressed."""
    return content_encoding is not None and content_encoding.strip().lower() in _CODINGS


@final
class IncomingBody:
    """One body; its bytes are counted in a budget until `release`."""

    def __init__(self, bodies: BodyBudget) -> None:
        self._bodies = bodies
        self._n_counted = 0

    async def collect(
        self,
        message: Message,
        receive: Callable[[], Awaitable[Message]],
        *,
        announced: int,
    ) -> bytearray:
        """
        Return a body that comes in several messages, of which `message` is the first.

        Raises:
            ContentTooLargeError: It is longer than the limit.
            OverloadedError: The budget for all bodies is full.
            DisconnectedError: The client disconnected before the end of the body.
        """
        self._bodies.check_room(announced)
        max_size = announced or self._bodies.max_bytes
        collected, size = bytearray(), 0
        try:
            while message["type"] == "http.request":
                piece = message.get("body", b"")
                collected = self._append(collected, size, piece, max_size)
                size += len(piece)
                if not message.get("more_body", False):
                    del collected[size:]
                    return collected
                message = await receive()
            raise DisconnectedError
        except BaseException:
            # The heap would keep them, and the next bodies would take other pages.
            return_pages(collected)
            raise

    async def decompress(self, body: Body) -> Body:
        """
        Return what a gzip body contains.

        Raises:
            UnprocessableError: It is not gzip, damaged or truncated.
            ContentTooLargeError: It is too long after decompression, or too dense.
            OverloadedError: The budget for all bodies is full.
        """
        if not body:
            return body
        n_before = self._n_counted
        content, size = bytearray(), 0
        try:
            stream = zlib.decompressobj(wbits=GZIP)
            view = memoryview(body)
            for start in range(0, len(view), _FED_BYTES):
                fed: Body | memoryview = view[start : start + _FED_BYTES]
                limit = self._limit(start + len(fed))
                while fed:
                    piece = await _step(stream, fed, is_first=not size)
                    if size + len(piece) > limit:
                        raise self._too_large(limit)
                    content = self._append(content, size, piece, self._bodies.max_bytes)
                    size += len(piece)
                    fed = stream.unconsumed_tail
                if stream.eof and (
                    stream.unused_data or start + _FED_BYTES < len(view)
                ):
                    _refuse("one gzip member, got data after it")
            piece = stream.flush()
            content = self._append(content, size, piece, self._bodies.max_bytes)
            if not stream.eof:
                _refuse("a whole gzip body, got a truncated one")
        except BaseException as error:
            return_pages(content)
            if isinstance(error, zlib.error):
                _refuse("a gzip body (Content-Encoding), got something else")
            raise
        del content[size + len(piece) :]
        self._release(n_before)  # the compressed body is no longer needed
        return content

    def count(self, n_bytes: int) -> None:
        """
        Count more bytes that the body takes in memory.

        Raises:
            OverloadedError: The budget for all bodies is full.
        """
        self._bodies.take(n_bytes, held=self._n_counted)
        self._n_counted += n_bytes

    def release(self) -> None:
        """Stop counting the body: the request has been answered or cancelled."""
        self._release(self._n_counted)

    def _release(self, n_bytes: int) -> None:
        self._bodies.release(n_bytes)
        self._n_counted -= n_bytes

    def _append(
        self, collected: bytearray, size: int, piece: Body, max_size: int
    ) -> bytearray:
        """Append a piece of the body; return the buffer, which may be a new one."""
        new_size = size + len(piece)
        if new_size > self._bodies.max_bytes:
            raise too_large(new_size, self._bodies.max_bytes)
        self.count(len(piece))
        if new_size > len(collected):
            collected = grow(collected, new_size, max_size)
        collected[size:new_size] = piece
        return collected

    def _limit(self, n_fed: int) -> int:
        """Return how long the content of the first `n_fed` bytes of gzip may be."""
        return most_unpacked(n_fed, self._bodies.max_bytes)

    def _too_large(self, limit: int) -> ContentTooLargeError:
        if limit == self._bodies.max_bytes:
            what = f"at most {limit} bytes after decompression, got more"
        else:
            what = f"at most {MAX_RATIO} bytes per byte of gzip, got more"
        return ContentTooLargeError(f"expected a body of {what}")


async def _step(
    stream: "zlib._Decompress", fed: Body | memoryview, *, is_first: bool
) -> bytes:
    """Decompress a part of a body, in a thread unless it is short."""
    if is_first and len(fed) <= _INLINE_BYTES:
        return stream.decompress(fed, _INLINE_STEP_BYTES)
    return await asyncio.to_thread(stream.decompress, fed, _STEP_BYTES)


def most_unpacked(n_bytes: int, max_bytes: int) -> int:
    """Return how much the first n bytes of a packed body may unpack to."""
    return min(max_bytes, max(FREE_BYTES, MAX_RATIO * n_bytes))


def too_large(size: int, limit: int) -> ContentTooLargeError:
    """Return the error for a body of so many bytes or more."""
    return ContentTooLargeError(
        f"expected a body of at most {limit} bytes, got {size} or more",
        headers=CLOSE,
    )


def _refuse(wanted: str) -> Never:
    raise UnprocessableError(Fault("", f"expected {wanted}"))
