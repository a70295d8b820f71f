"""
A load generator: keep-alive connections, one request at a time on each.

It understands the part of HTTP/1.1 that the servers here use: a status line, then a
body with a Content-Length, or in chunks. Anything else is an error.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, cast, final

import uvloop

_KEPT_EVERY = 997  # prime: answers to all requests in turn are kept
_MOST_KEPT = 16
_LAST_ANSWER_SECONDS = 60.0
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Exchange(NamedTuple):
    """The request of that number was answered after so many seconds."""

    number: int
    seconds: float


class Answer(NamedTuple):
    """The body that answered the request of that number."""

    number: int
    body: bytes


@dataclass(frozen=True)
class Traffic:
    """
    What was exchanged.

    Attributes:
        exchanges: Those that ended within `seconds`.
        kept: Some answers, to be looked at.
    """

    seconds: float
    exchanges: list[Exchange] = field(default_factory=list)
    kept: list[Answer] = field(default_factory=list)


def load(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float
) -> Traffic:
    """
    Send requests in turn over so many connections for so long.

    Raises:
        RuntimeError: A connection broke, or an answer's status was not 200.
    """
    return uvloop.run(_load(port, requests, connections, seconds))


async def _load(
    port: int, requests: Sequence[bytes], n_connections: int, seconds: float
) -> Traffic:
    loop = asyncio.get_running_loop()
    traffic = Traffic(seconds)
    connections = [
        _Connection(requests, first % len(requests), traffic)
        for first in range(n_connections)
    ]
    for connection in connections:
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", port)  # type: ignore[misc]  # mypy cannot type a lambda's default
    deadline = perf_counter() + seconds
    for connection in connections:
        connection.start(deadline)
    # Wait for requests in progress, so that no server still works on them afterwards.
    async with asyncio.timeout(seconds + _LAST_ANSWER_SECONDS):
        await asyncio.gather(*(connection.done for connection in connections))
    return traffic


@final
class _Connection(asyncio.Protocol):
    """Sends a request as soon as the last one is answered."""

    def __init__(self, requests: Sequence[bytes], first: int, traffic: Traffic) -> None:
        self._requests = requests
        self._index = first
        self._traffic = traffic
        self._received = bytearray()
        self._length: int | None = None  # of head and body, once known
        self._body_start = 0  # 0 until the head has come
        self._is_chunked = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def start(self, deadline: float) -> None:
        """Send the first request; the last one is sent before the deadline."""
        self._deadline = deadline
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            self._read()
        except (ValueError, RuntimeError) as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or RuntimeError("the server closed a connection"))

    def _send(self) -> None:
        self._sent = perf_counter()
        self._transport.write(self._requests[self._index])

    def _read(self) -> None:
        if not self._body_start:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._body_start = end + 4
            length = _content_length(bytes(self._received[:end]))
            self._is_chunked = length is None
            self._length = None if length is None else self._body_start + length
        # There is one response at a time, and no JSON text ends like the last chunk.
        if self._is_chunked and self._received.endswith(_LAST_CHUNK):
            self._length = len(self._received)
        if self._length is None or len(self._received) < self._length:
            return
        if len(self._received) > self._length:
            raise RuntimeError("more came than the answer is long")
        self._finish(perf_counter())

    def _finish(self, now: float) -> None:
        exchanges, kept = self._traffic.exchanges, self._traffic.kept
        if now <= self._deadline:
            exchanges.append(Exchange(self._index, now - self._sent))
        if len(exchanges) % _KEPT_EVERY <= 1 and len(kept) < _MOST_KEPT:
            body = bytes(self._received[self._body_start :])
            kept.append(
                Answer(self._index, _joined(body) if self._is_chunked else body)
            )
        self._received.clear()
        self._length, self._body_start = None, 0
        self._index = (self._index + 1) % len(self._requests)
        if now < self._deadline:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _content_length(head: bytes) -> int | None:
    """
    Return the length of the body that follows a head; None if it comes in chunks.

    Raises:
        RuntimeError: The status is not 200.
        ValueError: The head says neither.
    """
    status, *lines = head.split(b"\r\n")
    if status.split(b" ", 2)[1] != b"200":
        raise RuntimeError(f"an answer's status was {status.decode()}")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
        if name.lower() == b"transfer-encoding":
            return None
    raise ValueError("an answer had no Content-Length")


def _joined(chunks: bytes) -> bytes:
    """Return the body that comes in chunks."""
    body, start = bytearray(), 0
    while (end := chunks.index(b"\r\n", start)) and (
        size := int(chunks[start:end], 16)
    ):
        body += chunks[end + 2 : end + 2 + size]
        start = end + 2 + size + 2
    return bytes(body)
