"""One response, directly on ASGI; `app.http.request` says why."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from http.client import NOT_MODIFIED
from typing import NamedTuple, Protocol, final

from starlette.types import Scope, Send

from app.connection.cycle import DRAIN, WHOLE, Drain, Whole
from app.errors import Headers
from app.http import compression

Chunk = bytes | memoryview

ONE_MESSAGE_BYTES = 1 << 16
# The part of a long response in the write buffer: one piece and a remainder.
_IN_TRANSPORT_BYTES = 1 << 18
_START, _BODY = "http.response.start", "http.response.body"


class Pieces(Protocol):
    """A response body that is generated piece by piece, as the client reads it."""

    @property
    def nbytes(self) -> int:
        """The bytes that stay in memory until the last piece is generated."""

    def __iter__(self) -> Iterator[bytes]:
        """Generate the pieces; every iteration gives the same ones."""


@final
class Response(NamedTuple):
    """
    A response whose status, headers and body are decided before its first byte is sent.

    Attributes:
        chunks: The body; its length is known if it is a list.
        n_rows: The number of rows in it, for the metrics.
    """

    media_type: bytes
    chunks: list[Chunk] | Pieces
    status: int = 200
    headers: Headers = ()
    n_rows: int = 0

    @property
    def n_held(self) -> int:
        """The bytes in memory until the client has read it; 0 for a short response."""
        if not isinstance(self.chunks, list):
            return self.chunks.nbytes + _IN_TRANSPORT_BYTES
        length = sum(map(len, self.chunks))
        return 0 if length <= ONE_MESSAGE_BYTES else length + _IN_TRANSPORT_BYTES

    async def send(self, scope: Scope, send: Send, *, headers: Headers = ()) -> int:
        """
        Write the response with additional headers; for HEAD, without its body.

        A long response is written no faster than the client reads it.

        Returns:
            The size of the body in bytes.

        Raises:
            DisconnectedError: The client disconnected before the end.
        """
        if not isinstance(self.chunks, list):
            return await self._send_pieces(self.chunks, scope, send, headers)
        length = sum(map(len, self.chunks))
        if length > compression.MIN_BYTES:
            asked = scope["headers"]
            coding = compression.headers_for(self.media_type, self.headers, asked)
            if len(coding) > 1:
                return await self._send_pieces(self.chunks, scope, send, headers)
            headers += coding
        fields = (*self.headers, *headers)
        if self.status != NOT_MODIFIED:
            form = (b"content-type", self.media_type)
            fields = (form, (b"content-length", b"%d" % length), *fields)
        if scope["method"] == "HEAD":
            return await self._send_whole(b"", scope, send, fields)
        if length <= ONE_MESSAGE_BYTES or len(self.chunks) == 1:
            return await self._send_whole(b"".join(self.chunks), scope, send, fields)
        await send({"type": _START, "status": self.status, "headers": [*fields]})
        return await _send_all(_in_turns(self.chunks), send)

    async def _send_whole(
        self, body: bytes, scope: Scope, send: Send, fields: Headers
    ) -> int:
        """Write a body at once; if it is long, wait until most of it is sent."""
        extensions = scope.get("extensions", {})
        whole: Whole | None = extensions.get(WHOLE)
        if whole is None or not whole(self.status, fields, body):
            await send({"type": _START, "status": self.status, "headers": [*fields]})
            await send({"type": _BODY, "body": body})
        elif len(body) > ONE_MESSAGE_BYTES:
            drain: Drain = extensions[DRAIN]
            await drain()
        return len(body)

    async def _send_pieces(
        self, pieces: Iterable[Chunk], scope: Scope, send: Send, headers: Headers
    ) -> int:
        """
        Write a body whose length is known only after all of it has been generated.

        Content-Length would need the text to be generated twice, so the body is
        chunked. HTTP/1.0 has no chunks: there it is generated twice.
        """
        is_old = scope.get("http_version") == "1.0"
        asked = () if is_old else scope["headers"]
        coding = compression.headers_for(self.media_type, self.headers, asked)
        form = (b"content-type", self.media_type)
        fields = (form, *self.headers, *coding, *headers)
        if scope["method"] == "HEAD":  # may go without a length (RFC 9110, 8.6)
            return await self._send_whole(b"", scope, send, fields)
        if is_old:
            length = 0
            for piece in pieces:
                length += len(piece)
                await asyncio.sleep(0)
            fields = (*fields, (b"content-length", b"%d" % length))
        await send({"type": _START, "status": self.status, "headers": [*fields]})
        if len(coding) > 1:
            return await _send_all(compression.compress(pieces), send)
        return await _send_all(_in_turns(pieces), send)


async def _in_turns(pieces: Iterable[Chunk]) -> AsyncIterator[Chunk]:
    """Yield pieces, and let other requests run after each."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def _send_all(pieces: AsyncIterator[Chunk], send: Send) -> int:
    """Write the pieces of a body, each once there is room in the write buffer."""
    length = 0
    async for piece in pieces:
        await send({"type": _BODY, "body": bytes(piece), "more_body": True})
        length += len(piece)
    await send({"type": _BODY, "body": b""})  # also waits for the write buffer
    return length
