"""
Whether a client that sends no more has gone, or still waits for its response.

TCP says the same of both until something is sent to them: the system of a client that
has gone then resets the connection. So one that has waited for a while is sent an
interim response, which every client of HTTP/1.1 skips (RFC 9110, 15.2).
"""

import asyncio
import socket
from typing import Any, final

from app.connection.cycle import Cycle

_PATIENCE_SECONDS = 2.0
_BETWEEN_LOOKS_SECONDS = 0.5
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TCP_CLOSE = 7  # <netinet/tcp.h>


@final
class Departure:
    """Ends a connection on which a response is computed once its client has gone."""

    def __init__(
        self, cycle: Cycle, transport: Any, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._cycle = cycle
        self._transport = transport
        self._loop = loop
        self._is_asked = cycle.scope["http_version"] == "1.0"  # knows no interim ones
        loop.call_later(_PATIENCE_SECONDS, self._look)

    def _look(self) -> None:
        if self._transport.is_closing():
            return
        opened = self._transport.get_extra_info("socket")
        state = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state == _TCP_CLOSE:
            self._transport.abort()
            return
        if not self._is_asked and not self._cycle.response_started:
            self._is_asked = True
            self._transport.write(_CONTINUE)
        self._loop.call_later(_BETWEEN_LOOKS_SECONDS, self._look)
