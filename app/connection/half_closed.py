"""
Finds out whether the client of a half-closed connection still waits for its response.

After a FIN, TCP cannot tell a client that has only finished sending from one that has
gone, until something is sent: the system of a client that has gone then resets the
connection. So after a while the client is sent an interim response, which every
HTTP/1.1 client must skip (RFC 9110, 15.2).
"""

import asyncio
import select
from typing import Any, final

from app.connection.cycle import Cycle

_FIRST_CHECK_SECONDS = 2.0
_CHECK_INTERVAL_SECONDS = 0.5
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@final
class HalfClosed:
    """Aborts a half-closed connection once its client has gone."""

    def __init__(
        self, cycle: Cycle, transport: Any, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._cycle = cycle
        self._transport = transport
        self._loop = loop
        # HTTP/1.0 has no interim responses.
        self._probe_sent = cycle.scope["http_version"] == "1.0"
        loop.call_later(_FIRST_CHECK_SECONDS, self._check)

    def _check(self) -> None:
        if self._transport.is_closing():
            return
        if _is_closed(self._transport.get_extra_info("socket")):
            self._transport.abort()
            return
        if not self._probe_sent and not self._cycle.response_started:
            self._probe_sent = True
            self._transport.write(_CONTINUE)
        self._loop.call_later(_CHECK_INTERVAL_SECONDS, self._check)


def _is_closed(opened: Any) -> bool:
    """Return whether a socket, of TCP or Unix, is closed in both directions."""
    found = select.poll()
    found.register(opened.fileno(), 0)  # the system reports a hang-up in any case
    return bool(found.poll(0))
