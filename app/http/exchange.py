"""
One request and its answer, straight on ASGI.

Starlette's Request and Response cost more than everything else a hot route does beside
the model; these two read and write the same messages and do nothing else.
"""

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Literal, NamedTuple, final

from starlette.types import Receive, Scope, Send

from app.connection.cycle import WHOLE, Whole
from app.errors import CLOSE, ContentTooLargeError, DisconnectedError, Headers
from app.http.body_budget import Bodies

Body = bytes | bytearray
Fate = Literal["departed", "late"]

_ONE_MESSAGE_BYTES = 1 << 16
_MOST_PARTS = 1 << 12


@final
class Request:
    """
    The head of a request, and its body for the asking.

    Attributes:
        is_read: Whether nothing of the body is still to come.
        deadline: When its answer must be there, by `time.perf_counter`.
        fate: Why it is not answered any more, if so: its client has gone, or its time.
    """

    __slots__ = (
        "_bodies",
        "_head",
        "_n_held",
        "_receive",
        "deadline",
        "fate",
        "headers",
        "is_read",
        "method",
        "path",
        "query_string",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._head: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._bodies: Bodies | None = None  # where its body is counted
        self._n_held = 0  # bytes that are counted there
        self.headers = dict(self._head)
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.is_read = self.method in {"GET", "HEAD"}  # nobody reads a body of theirs
        self.deadline = inf
        self.fate: Fate | None = None

    @property
    def accept(self) -> bytes | None:
        """The Accept header; several are one list (RFC 9110, 5.3)."""
        if len(self.headers) == len(self._head):
            return self.headers.get(b"accept")
        return b",".join(v for name, v in self._head if name == b"accept") or None

    def only(self, name: bytes) -> bytes | None:
        """Return a header that came once; None if it did not, or several times."""
        if len(self.headers) != len(self._head):
            values = [value for field, value in self._head if field == name]
            return values[0] if len(values) == 1 else None
        return self.headers.get(name)

    async def body(self, bodies: Bodies) -> Body:
        """
        Read the body, counting bytes as they come, until `release`.

        Raises:
            ContentTooLargeError: It is, or says it is, longer than it may be.
            OverloadedError: There is no room for it beside the others.
            DisconnectedError: The client went away before its end.
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
        parts: list[Body] = []
        while message["type"] == "http.request":
            piece = message.get("body", b"")
            size = self._n_held + len(piece)
            if size > limit:
                raise _too_large(size, limit)
            bodies.take(len(piece), held=self._n_held)
            self._n_held = size
            parts.append(piece)
            if not message.get("more_body", False):
                self.is_read = True
                return b"".join(parts)
            if len(parts) == _MOST_PARTS:  # an object for every packet costs more
                parts = [b"".join(parts)]
            message = await self._receive()
        raise DisconnectedError

    def release(self) -> None:
        """Have its body counted no longer: it is answered, or never will be."""
        if self._bodies is not None:
            self._bodies.release(self._n_held)
            self._bodies = None

    async def departure(self) -> None:
        """Wait until the client goes away; for requests that are read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _announced(self, limit: int) -> int:
        """Return how many bytes the body says it has, 0 if it does not."""
        announced = self.headers.get(b"content-length")
        # The server has parsed it; a value that is no number never comes this far.
        if announced is None or not announced.isdigit():
            return 0
        n_bytes = int(announced[:20])
        if n_bytes > limit:
            raise _too_large(n_bytes, limit)
        return n_bytes


@final
class Response(NamedTuple):
    """
    A response whose length is known before its first byte is sent.

    Attributes:
        chunks: The body in pieces.
        n_rows: How many rows it answers, for the metrics.
    """

    media_type: bytes
    chunks: Sequence[bytes | memoryview]
    status: int = 200
    headers: Headers = ()
    n_rows: int = 0

    async def send(self, scope: Scope, send: Send, *, headers: Headers = ()) -> int:
        """
        Write it, with these headers besides its own; to HEAD, without its body.

        Returns:
            How many bytes of a body there were to write.
        """
        length = sum(map(len, self.chunks))
        fields = (
            (b"content-type", self.media_type),
            (b"content-length", b"%d" % length),
            *self.headers,
            *headers,
        )
        rest: Sequence[bytes | memoryview] = ()
        if scope["method"] == "HEAD":
            length, last = 0, b""
        elif length <= _ONE_MESSAGE_BYTES:
            last = b"".join(self.chunks)
        else:  # between two pieces the event loop serves others
            *rest, end = self.chunks
            last = bytes(end)
        whole: Whole | None = scope.get("extensions", {}).get(WHOLE)
        if whole is not None and not rest and whole(self.status, fields, last):
            return length
        start = {"status": self.status, "headers": [*fields]}
        await send({"type": "http.response.start", **start})
        for piece in rest:
            await send(
                {"type": "http.response.body", "body": bytes(piece), "more_body": True}
            )
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": last})
        return length


def _too_large(size: int, limit: int) -> ContentTooLargeError:
    return ContentTooLargeError(
        f"expected a body of at most {limit} bytes, got {size} or more",
        headers=CLOSE,
    )
