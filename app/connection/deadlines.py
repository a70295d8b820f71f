"""
Enforces the time limits of a connection with a timer.

The timer runs a few times per limit, and expires the connection if nothing has changed
for too long. For a response that is being sent, progress is measured by bytes that the
client's system has acknowledged, including those in the kernel's send buffer: a slow
client frees room in the buffer only now and then, although it reads all the time.
"""

import asyncio
import fcntl
import struct
import termios
from typing import Any, Protocol, final

from app.connection import phases
from app.connection.phases import Phase
from app.settings import Settings

_MAX_TICK_SECONDS = 1.0
_TICKS_PER_DEADLINE = 4


class WatchedConnection(Protocol):
    """
    The part of a connection that the deadlines use.

    Attributes:
        scope: The current request's scope; a new object for every request.
        n_body: Bytes of the request body received so far.
    """

    transport: Any
    flow: Any
    scope: Any
    n_body: int

    def phase(self, n_unsent: int) -> Phase:
        """Return the phase that the connection is in."""

    def expire(self, phase: Phase, seconds: float) -> None:
        """End a phase that has taken longer than its limit in seconds."""


@final
class Deadlines:
    """The deadlines of one connection."""

    def __init__(
        self,
        connection: WatchedConnection,
        limits: Settings,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._loop = loop
        self._seen: tuple[object, Phase, int] = (None, "head", 0)
        self._since = loop.time()
        shortest = min(limits.head_timeout, limits.body_timeout, limits.idle_timeout)
        self._tick_seconds = min(_MAX_TICK_SECONDS, shortest / _TICKS_PER_DEADLINE)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer."""
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def unchanged_seconds(self) -> float:
        """Return the seconds since the last change."""
        return self._loop.time() - self._since

    def _tick(self) -> None:
        now, connection = self._loop.time(), self._connection
        n_unsent = connection.transport.get_write_buffer_size()
        phase = connection.phase(n_unsent)
        if n_unsent:
            n_unsent += _n_unacknowledged(connection.transport)
        scope, *seen = self._seen
        seconds = phases.seconds(phase, self._limits, connection.n_body)
        if scope is not connection.scope or seen != [phase, n_unsent]:
            self._seen = (connection.scope, phase, n_unsent)
            self._since = now
        elif connection.flow.read_paused and phase in {"head", "body"}:
            self._since = now  # this side has paused reading: not the client's fault
        elif now - self._since > seconds:
            connection.expire(phase, seconds)
        self.start()


def _n_unacknowledged(transport: Any) -> int:
    """Return how many bytes in the kernel's send buffer are not acknowledged."""
    packed = fcntl.ioctl(
        transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4
    )
    (n_bytes,) = struct.unpack("i", packed)
    return int(n_bytes)
