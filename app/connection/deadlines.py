"""
Looks a few times per deadline whether anything has changed on a connection.

A client that reads has its system acknowledge what was sent to it. So what counts as
unread is what the system still holds too: of a slow client it takes long to make room
for more, though it goes on all the time.
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
    What is looked at.

    Attributes:
        scope: Another object for every request.
        n_body: Bytes of its body that have come.
    """

    transport: Any
    flow: Any
    scope: Any
    n_body: int

    def phase(self, n_unsent: int) -> Phase:
        """Return what it is doing."""

    def expire(self, phase: Phase, seconds: float) -> None:
        """End what has taken more than so many seconds."""


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
        """Look from now on."""
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def unchanged_seconds(self) -> float:
        """Return for how long nothing has changed."""
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
            self._since = now  # the client may be held up by this side
        elif now - self._since > seconds:
            connection.expire(phase, seconds)
        self.start()


def _n_unacknowledged(transport: Any) -> int:
    """Return how many bytes the system has not yet handed to the client's."""
    came = fcntl.ioctl(
        transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4
    )
    (n_bytes,) = struct.unpack("i", came)
    return int(n_bytes)
