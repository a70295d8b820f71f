"""
One request, directly on ASGI.

Starlette's Request and Response take more time than everything else in a one-row
request except the model. `Request` and `Response` read and write the same messages and
do less.
"""

from math import inf
from typing import Literal, final

from starlette.types import Message, Receive, Scope

from app.errors import CLOSE, ContentTooLargeError, DisconnectedError
from app.http.body_budget import BodyBudget, grown
from app.http.freed_memory import return_pages
from app.http.response import ONE_MESSAGE_BYTES
from app.http.response_budget import ResponseBudget
from app.wire.body import Body

CancelReason = Literal["disconnected", "timed_out"]


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
