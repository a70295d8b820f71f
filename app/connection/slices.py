"""
Feeds long packets to the parser in slices, so that other connections are served.

The parser calls Python for every header, trailer and chunk, which may be as short as
six bytes: a packet of 256 KB of them would hold the event loop for 15 ms. Each ends a
line, so a packet with few line breaks is parsed at once, as those of most bodies are. A
body of a known length costs nothing, and is fed as a whole.
"""

import asyncio
from typing import Any, Protocol, final

SLICE_BYTES = 1 << 13  # half a millisecond
_MAX_LINES = 1000  # a third of a millisecond
_MIN_COST_BYTES = 1 << 8  # of feeding a part, however short it is
_HEAD_END = b"\r\n\r\n"


@final
class _NotReading:
    """Stands for a transport that reads nothing, whatever the flow control says."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


_NOT_READING = _NotReading()


class FedConnection(Protocol):
    """The part of a connection that `Slices` uses."""

    flow: Any
    parser: Any
    transport: Any

    def data_received(self, data: bytes | memoryview) -> None:
        """Parse data."""

    def ignores_data(self) -> bool:
        """Return whether all further data are dropped."""

    def n_announced(self) -> int | None:
        """Return how much of the body is to come; 0 between bodies, None if chunked."""


@final
class Slices:
    """The long packet of one connection that is being fed."""

    def __init__(
        self, connection: FedConnection, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._packet = b""
        self._position = 0
        self._is_feeding = False

    def take(self, packet: bytes | memoryview) -> bool:
        """Feed a long packet; return False if it is to be parsed at once."""
        if self._is_feeding:  # it is a slice
            return False
        if (self._connection.n_announced() or 0) >= len(packet):  # all of it is body
            return False
        packet = bytes(packet)
        if not _has_many_lines(packet):
            return False
        self._packet, self._position = packet, 0
        self._feed()
        return True

    def _feed(self) -> None:
        """Feed what takes half a millisecond, and the rest later."""
        if self._connection.parser is None:  # the connection is lost
            return
        cost = 0
        self._is_feeding = True
        try:
            while self._has_more() and cost < SLICE_BYTES:
                cost += self._feed_part()
        finally:
            self._is_feeding = False
        if self._has_more():
            self._hold()
            self._loop.call_soon(self._feed)
        else:
            self._packet = b""
            self._release()

    def _hold(self) -> None:
        """Stop reading until `_release`, even if the application wants more."""
        connection = self._connection
        connection.transport.pause_reading()
        connection.flow._transport = _NOT_READING

    def _release(self) -> None:
        """Read again, unless the flow control has paused reading."""
        connection = self._connection
        if connection.flow._transport is _NOT_READING:
            connection.flow._transport = connection.transport
            if not (connection.flow.read_paused or connection.transport.is_closing()):
                connection.transport.resume_reading()

    def _has_more(self) -> bool:
        is_fed = self._position >= len(self._packet)
        return not is_fed and not self._connection.ignores_data()

    def _feed_part(self) -> int:
        """Feed the next part; return for how many bytes it counts."""
        start, n_announced = self._position, self._connection.n_announced()
        stop = start + (n_announced or SLICE_BYTES)
        if n_announced == 0:  # a head is next: what follows it may be a long body
            end = self._packet.find(_HEAD_END, start, stop)
            stop = end + len(_HEAD_END) if end >= 0 else stop
        self._position = stop
        self._connection.data_received(memoryview(self._packet)[start:stop])
        return 0 if n_announced else max(_MIN_COST_BYTES, stop - start)


def _has_many_lines(packet: bytes) -> bool:
    """Return whether a packet has at least `_MAX_LINES` line breaks."""
    position = -1
    for _ in range(_MAX_LINES):
        # `bytes.count` compares byte by byte, `find` many at a time.
        position = packet.find(b"\n", position + 1)
        if position < 0:
            return False
    return True
