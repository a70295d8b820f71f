"""
One request, directly on ASGI.

Starlette's Request and Response take more time than everything else in a one-row
request except the model. `Request` and `Response` read and write the same messages and
do less.
"""

from math import inf
from typing import Literal, final

from starlette.types import Receive, Scope

from app.http.body_budget import BodyBudget
from app.http.incoming import IncomingBody, is_gzip, most_unpacked, too_large
from app.http.response import ONE_MESSAGE_BYTES
from app.http.response_budget import ResponseBudget
from app.wire.body import Body

CancelReason = Literal["disconnected", "timed_out"]


@final
class Request:
    """
    The head of a request, with a method to read its body.

    Attributes:
        fields: The headers as they came; `headers` has the last one of each name.
        path: The path, without the prefix that a proxy added.
        root_path: That prefix, without a trailing slash.
        absent: Columns of a table that it does not have; their values are missing.
        is_read: Whether the whole body has been read.
        deadline: When its response must be ready, by `time.perf_counter`.
        cancel_reason: Why it was cancelled; None if it was not.
        key: The name of its access key; None before the check, or without keys.
    """

    __slots__ = (
        "_incoming",
        "_n_response_bytes",
        "_n_sent",
        "_receive",
        "_responses",
        "absent",
        "cancel_reason",
        "deadline",
        "fields",
        "headers",
        "is_read",
        "key",
        "method",
        "path",
        "query_string",
        "root_path",
    )

    def __init__(
        self, scope: Scope, receive: Receive, responses: ResponseBudget
    ) -> None:
        self.fields: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._incoming: IncomingBody | None = None  # set while its body is counted
        self._responses = responses
        self._n_response_bytes = 0  # counted in `_responses`
        self._n_sent = 0  # the bytes of the body, before it is decompressed
        self.headers = dict(self.fields)
        self.method: str = scope["method"]
        self.root_path: str = scope.get("root_path", "")
        self.path: str = scope["path"]
        if self.root_path:
            self.root_path = self.root_path.rstrip("/")
            self.path = below(self.root_path, self.path)
        self.query_string: bytes = scope["query_string"]
        self.is_read = self.method in {"GET", "HEAD"}  # their bodies are ignored
        self.absent: tuple[str, ...] = ()
        self.deadline = inf
        self.cancel_reason: CancelReason | None = None
        self.key: str | None = None

    @property
    def accept(self) -> bytes | None:
        """The Accept header; several are joined to one list (RFC 9110, 5.3)."""
        if len(self.headers) == len(self.fields):
            return self.headers.get(b"accept")
        return b",".join(v for name, v in self.fields if name == b"accept") or None

    def only(self, name: bytes) -> bytes | None:
        """Return a header that occurs exactly once; None otherwise."""
        if len(self.headers) != len(self.fields):
            values = [value for field, value in self.fields if field == name]
            return values[0] if len(values) == 1 else None
        return self.headers.get(name)

    async def body(self, bodies: BodyBudget) -> Body:
        """
        Read the body, and decompress it; its bytes are counted until `release_body`.

        Raises:
            ContentTooLargeError: It is longer than the limit, or announced to be.
            OverloadedError: The budget for all bodies is full.
            UnprocessableError: It cannot be decompressed.
            DisconnectedError: The client disconnected before the end of the body.
        """
        limit = bodies.max_bytes
        announced = self._announced(limit)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            whole: Body = message.get("body", b"")
            if len(whole) > limit:
                raise too_large(len(whole), limit)
        else:
            incoming = self._incoming = IncomingBody(bodies)
            whole = await incoming.collect(message, self._receive, announced=announced)
        self.is_read = True
        self._n_sent = len(whole)
        if b"content-encoding" in self.headers and is_gzip(
            self.headers[b"content-encoding"]
        ):
            incoming = self._incoming = self._incoming or IncomingBody(bodies)
            return await incoming.decompress(whole)
        return whole

    def most_unpacked(self, bodies: BodyBudget) -> int:
        """Return how many bytes the parts of a packed format may take, unpacked."""
        return most_unpacked(self._n_sent, bodies.max_bytes)

    def count_unpacked(self, n_bytes: int, bodies: BodyBudget) -> None:
        """
        Count bytes that parts of the body unpack to, until `release_body`.

        As little as a body in one message has is not counted.

        Raises:
            OverloadedError: The budget for all bodies is full.
        """
        if n_bytes > ONE_MESSAGE_BYTES:
            self._incoming = self._incoming or IncomingBody(bodies)
            self._incoming.count(n_bytes)

    def release_body(self) -> None:
        """Stop counting the body: the request has been answered or cancelled."""
        if self._incoming is not None:
            self._incoming.release()
            self._incoming = None

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
            raise too_large(n_bytes, limit)
        return n_bytes


def below(root_path: str, path: str) -> str:
    """Return a path without the prefix that a proxy added, if it has one."""
    if not root_path or not path.startswith(f"{root_path}/"):
        return path
    return path[len(root_path) :]
