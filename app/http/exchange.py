"""
One request and its answer, straight on ASGI.

Starlette's Request and Response cost more than everything else a hot route does beside
the model; these two read and write the same messages and do nothing else.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from http.client import NOT_MODIFIED
from math import inf
from typing import Literal, NamedTuple, Protocol, final

from starlette.types import Receive, Scope, Send

from app.connection.cycle import TAKEN, WHOLE, Taken, Whole
from app.errors import CLOSE, ContentTooLargeError, DisconnectedError, Headers
from app.http.body_budget import Bodies, with_room
from app.http.response_budget import Responses
from app.wire.body import Body

Chunk = bytes | memoryview
Fate = Literal["departed", "late"]

ONE_MESSAGE_BYTES = 1 << 16
# Of a long response what is made and not yet with the system: a piece and a rest.
_IN_TRANSPORT_BYTES = 1 << 18
_START, _BODY = "http.response.start", "http.response.body"


@final
class Request:
    """
    The head of a request, and its body for the asking.

    Attributes:
        path: The path, without the prefix that a proxy put before it.
        root_path: That prefix, without a slash at its end.
        is_read: Whether nothing of the body is still to come.
        deadline: When its answer must be there, by `time.perf_counter`.
        fate: Why it is not answered any more, if so: its client has gone, or its time.
    """

    __slots__ = (
        "_bodies",
        "_head",
        "_n_held",
        "_n_held_to_send",
        "_receive",
        "_responses",
        "deadline",
        "fate",
        "headers",
        "is_read",
        "method",
        "path",
        "query_string",
        "root_path",
    )

    def __init__(self, scope: Scope, receive: Receive, responses: Responses) -> None:
        self._head: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._bodies: Bodies | None = None  # where its body is counted
        self._n_held = 0  # bytes that are counted there
        self._responses = responses
        self._n_held_to_send = 0  # bytes that are counted there
        self.headers = dict(self._head)
        self.method: str = scope["method"]
        self.root_path: str = scope.get("root_path", "").rstrip("/")
        self.path: str = _below(self.root_path, scope["path"])
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
        collected = bytearray()
        most = announced or limit
        while message["type"] == "http.request":
            piece = message.get("body", b"")
            size = self._n_held + len(piece)
            if size > limit:
                raise _too_large(size, limit)
            bodies.take(len(piece), held=self._n_held)
            if size > len(collected):
                collected = with_room(collected, size, most)
            collected[self._n_held : size] = piece
            self._n_held = size
            if not message.get("more_body", False):
                self.is_read = True
                del collected[size:]
                return collected
            message = await self._receive()
        raise DisconnectedError

    def release(self) -> None:
        """Have its body counted no longer: it is answered, or never will be."""
        if self._bodies is not None:
            self._bodies.release(self._n_held)
            self._bodies = None

    def hold(self, n_bytes: int) -> None:
        """
        Have so many bytes counted for its response, until `taken`.

        Called before they are computed where their number is known then, and with what
        the response really holds once it is there. A short response holds none.

        Raises:
            OverloadedError: There is no room for them now.
        """
        held = self._n_held_to_send
        n_bytes = n_bytes if n_bytes > ONE_MESSAGE_BYTES else 0
        if n_bytes != held:
            self._responses.take(n_bytes - held, held=held)
            self._n_held_to_send = n_bytes

    def taken(self) -> None:
        """Have its response counted no longer: its client has it, or never will."""
        if self._n_held_to_send:
            self._responses.release(self._n_held_to_send)
            self._n_held_to_send = 0

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


class Pieces(Protocol):
    """A body that is made piece by piece, as its client takes it."""

    @property
    def nbytes(self) -> int:
        """The bytes that are in memory until all of it is made."""

    def __iter__(self) -> Iterator[bytes]:
        """Make the pieces; those of one body are always the same."""


@final
class Response(NamedTuple):
    """
    A response of which everything is known before its first byte is sent.

    Attributes:
        chunks: The body, of which the length is known if it is a sequence.
        n_rows: How many rows it answers, for the metrics.
    """

    media_type: bytes
    chunks: Sequence[Chunk] | Pieces
    status: int = 200
    headers: Headers = ()
    n_rows: int = 0

    @property
    def n_held(self) -> int:
        """The bytes that it holds until its client has taken it; 0 of a short one."""
        if not isinstance(self.chunks, Sequence):
            return self.chunks.nbytes + _IN_TRANSPORT_BYTES
        length = sum(map(len, self.chunks))
        return 0 if length <= ONE_MESSAGE_BYTES else length + _IN_TRANSPORT_BYTES

    async def send(self, scope: Scope, send: Send, *, headers: Headers = ()) -> int:
        """
        Write it, with these headers besides its own; to HEAD, without its body.

        A long one is written no faster than the client takes it.

        Returns:
            How many bytes of a body there were to write.

        Raises:
            DisconnectedError: The client went away before it had all.
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
        """Write a body at once; wait until it is taken if it is long."""
        extensions = scope.get("extensions", {})
        whole: Whole | None = extensions.get(WHOLE)
        if whole is None or not whole(self.status, fields, body):
            await send({"type": _START, "status": self.status, "headers": [*fields]})
            await send({"type": _BODY, "body": body})
        elif len(body) > ONE_MESSAGE_BYTES:
            taken: Taken = extensions[TAKEN]
            await taken()
        return len(body)

    async def _send_pieces(
        self, pieces: Pieces, scope: Scope, send: Send, headers: Headers
    ) -> int:
        """
        Write a body of which the length is known once all of it is made.

        To tell it before would be to make the text twice; so the body is chunked, but
        in HTTP/1.0, which has no chunks.
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
    """Write the pieces of a body, each once those before it are taken."""
    length = 0
    for piece in pieces:
        await send({"type": _BODY, "body": bytes(piece), "more_body": True})
        length += len(piece)
        await asyncio.sleep(0)  # the event loop serves others
    await send({"type": _BODY, "body": b""})  # waits as every message does
    return length


def _below(root_path: str, path: str) -> str:
    """Return a path without the prefix that a proxy put before it."""
    if not root_path or not path.startswith(f"{root_path}/"):
        return path
    return path[len(root_path) :]


def _too_large(size: int, limit: int) -> ContentTooLargeError:
    return ContentTooLargeError(
        f"expected a body of at most {limit} bytes, got {size} or more",
        headers=CLOSE,
    )
