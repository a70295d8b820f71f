"""
One request and its response, directly on ASGI.

Starlette's Request and Response take more time than everything else in a one-row
request except the model. These two read and write the same messages and do less.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from http.client import NOT_MODIFIED
from math import inf
from typing import Literal, NamedTuple, Protocol, final

from starlette.types import Message, Receive, Scope, Send

from app.connection.cycle import DRAIN, WHOLE, Drain, Whole
from app.errors import CLOSE, ContentTooLargeError, DisconnectedError, Headers
from app.http.body_budget import BodyBudget, grown
from app.http.freed_memory import return_pages
from app.http.response_budget import ResponseBudget
from app.wire.body import Body

Chunk = bytes | memoryview
CancelReason = Literal["disconnected", "timed_out"]

ONE_MESSAGE_BYTES = 1 << 16
# The part of a long response in the write buffer: one piece and a remainder.
_IN_TRANSPORT_BYTES = 1 << 18
_START, _BODY = "http.response.start", "http.response.body"


@final
class Request:
    """
    The head of a request, with a method to read its body.

    Attributes:
        path: The path, without the prefix that a proxy added.
        root_path: That prefix, without a trailing slash.
        is_read: Whether the whole body has been read.
        deadline: When its response must be ready, by `time.perf_counter`.
        cancel_reason: Why it was cancelled; None if it was not.
    """

    __slots__ = (
        "_bodies",
        "_head",
        "_n_body_bytes",
        "_n_response_bytes",
        "_receive",
        "_responses",
        "cancel_reason",
        "deadline",
        "headers",
        "is_read",
        "method",
        "path",
        "query_string",
        "root_path",
    )

    def __init__(
        self, scope: Scope, receive: Receive, responses: ResponseBudget
    ) -> None:
        self._head: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._bodies: BodyBudget | None = None  # set while its body is counted
        self._n_body_bytes = 0  # counted in `_bodies`
        self._responses = responses
        self._n_response_bytes = 0  # counted in `_responses`
        self.headers = dict(self._head)
        self.method: str = scope["method"]
        self.root_path: str = scope.get("root_path", "").rstrip("/")
        self.path: str = _below(self.root_path, scope["path"])
        self.query_string: bytes = scope["query_string"]
        self.is_read = self.method in {"GET", "HEAD"}  # their bodies are ignored
        self.deadline = inf
        self.cancel_reason: CancelReason | None = None

    @property
    def accept(self) -> bytes | None:
        """The Accept header; several are joined to one list (RFC 9110, 5.3)."""
        if len(self.headers) == len(self._head):
            return self.headers.get(b"accept")
        return b",".join(v for name, v in self._head if name == b"accept") or None

    def only(self, name: bytes) -> bytes | None:
        """Return a header that occurs exactly once; None otherwise."""
        if len(self.headers) != len(self._head):
            values = [value for field, value in self._head if field == name]
            return values[0] if len(values) == 1 else None
        return self.headers.get(name)

    async def body(self, bodies: BodyBudget) -> Body:
        """
        Read the body; its bytes are counted until `release_body`.

        Raises:
            ContentTooLargeError: It is longer than the limit, or announced to be.
            OverloadedError: The budget for all bodies is full.
            DisconnectedError: The client disconnected before the end of the body.
        """
        limit = bodies.max_bytes
        announced = self._announced(limit)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")
            if len(whole) > limit:
                raise _too_large(len(whole), limit)
            self.is_read = True
            return whole
        bodies.check_room(announced)
        self._bodies = bodies
        collected = bytearray()
        max_size = announced or limit
        try:
            while message["type"] == "http.request":
                collected = self._collect(message, collected, bodies, max_size)
                if self.is_read:
                    return collected
                message = await self._receive()
            raise DisconnectedError
        except BaseException:
            # The heap would keep them, and the next bodies would take other pages.
            return_pages(collected)
            raise

    def _collect(
        self, message: Message, collected: bytearray, bodies: BodyBudget, max_size: int
    ) -> bytearray:
        """Append a piece of the body; return the buffer, which may be a new one."""
        piece = message.get("body", b"")
        size = self._n_body_bytes + len(piece)
        if size > bodies.max_bytes:
            raise _too_large(size, bodies.max_bytes)
        bodies.take(len(piece), held=self._n_body_bytes)
        if size > len(collected):
            collected = grown(collected, size, max_size)
        collected[self._n_body_bytes : size] = piece
        self._n_body_bytes = size
        if not message.get("more_body", False):
            self.is_read = True
            del collected[size:]
        return collected

    def release_body(self) -> None:
        """Stop counting the body: the request has been answered or cancelled."""
        if self._bodies is not None:
            self._bodies.release(self._n_body_bytes)
            self._bodies = None

    def reserve_response(self, n_bytes: int) -> None:
        """
        Count the bytes of the response in the budget, until `release_response`.

        Called before the response is computed if its size is known, and again with its
        actual size. Short responses are not counted.

        Raises:
            OverloadedError: The budget for all responses is full.
        """
        held = self._n_response_bytes
        n_bytes = n_bytes if n_bytes > ONE_MESSAGE_BYTES else 0
        if n_bytes != held:
            self._responses.take(n_bytes - held, held=held)
            self._n_response_bytes = n_bytes

    def release_response(self) -> None:
        """Stop counting the response: it has been sent, or never will be."""
        if self._n_response_bytes:
            self._responses.release(self._n_response_bytes)
            self._n_response_bytes = 0

    async def wait_for_disconnect(self) -> None:
        """Wait until the client disconnects; only after the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _announced(self, limit: int) -> int:
        """Return the body's size by Content-Length, 0 if it has none."""
        announced = self.headers.get(b"content-length")
        # The server has already refused values that are not numbers.
        if announced is None or not announced.isdigit():
            return 0
        n_bytes = int(announced[:20])
        if n_bytes > limit:
            raise _too_large(n_bytes, limit)
        return n_bytes


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
        chunks: The body; its length is known if it is a sequence.
        n_rows: The number of rows in it, for the metrics.
    """

    media_type: bytes
    chunks: Sequence[Chunk] | Pieces
    status: int = 200
    headers: Headers = ()
    n_rows: int = 0

    @property
    def n_held(self) -> int:
        """The bytes in memory until the client has read it; 0 for a short response."""
        if not isinstance(self.chunks, Sequence):
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
        if not isinstance(self.chunks, Sequence):
            return await self._send_pieces(self.chunks, scope, send, headers)
        length = sum(map(len, self.chunks))
        fields = (*self.headers, *headers)
        if self.status != NOT_MODIFIED:
            form = (b"content-type", self.media_type)
            fields = (form, (b"content-length", b"%d" % length), *fields)
        if scope["method"] == "HEAD":
            return await self._send_whole(b"", scope, send, fields)
        if length <= ONE_MESSAGE_BYTES or len(self.chunks) == 1:
            return await self._send_whole(b"".join(self.chunks), scope, send, fields)
        await send({"type": _START, "status": self.status, "headers": [*fields]})
        return await _send_all(self.chunks, send)

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
        self, pieces: Pieces, scope: Scope, send: Send, headers: Headers
    ) -> int:
        """
        Write a body whose length is known only after all of it has been generated.

        Content-Length would need the text to be generated twice, so the body is
        chunked. HTTP/1.0 has no chunks: there it is generated twice.
        """
        fields = ((b"content-type", self.media_type), *self.headers, *headers)
        if scope["method"] == "HEAD":  # may go without a length (RFC 9110, 8.6)
            return await self._send_whole(b"", scope, send, fields)
        if scope.get("http_version") == "1.0":
            length = 0
            for piece in pieces:
                length += len(piece)
                await asyncio.sleep(0)
            fields = (*fields, (b"content-length", b"%d" % length))
        await send({"type": _START, "status": self.status, "headers": [*fields]})
        return await _send_all(pieces, send)


async def _send_all(pieces: Iterable[Chunk], send: Send) -> int:
    """Write the pieces of a body, each once there is room in the write buffer."""
    length = 0
    for piece in pieces:
        await send({"type": _BODY, "body": bytes(piece), "more_body": True})
        length += len(piece)
        await asyncio.sleep(0)  # let other requests run
    await send({"type": _BODY, "body": b""})  # also waits for the write buffer
    return length


def _below(root_path: str, path: str) -> str:
    """Return a path without the prefix that a proxy added."""
    if not root_path or not path.startswith(f"{root_path}/"):
        return path
    return path[len(root_path) :]


def _too_large(size: int, limit: int) -> ContentTooLargeError:
    return ContentTooLargeError(
        f"expected a body of at most {limit} bytes, got {size} or more",
        headers=CLOSE,
    )
