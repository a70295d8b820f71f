"""
One request on a connection and the way its answer takes to the socket.

uvicorn's cycle copies every body twice and writes an answer in two messages, each
checked header by header. `Cycle` hands bodies on as they are, and offers applications a
shorter way for an answer that is there as a whole: the ASGI extension `WHOLE`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.errors import CLOSE, DisconnectedError, Headers

# Writes a whole answer: status, headers with Content-Length, and body. It may decline,
# and returns False then; what it has taken is sent, or dropped if nobody waits for it.
Whole = Callable[[int, Headers, bytes], bool]
WHOLE: Literal["vae.http.response.whole"] = "vae.http.response.whole"
# Waits until what was written is with the client's system, but for some ten KB.
Taken = Callable[[], Awaitable[None]]
TAKEN: Literal["vae.http.response.taken"] = "vae.http.response.taken"


@final
class Cycle(RequestResponseCycle):
    """uvicorn's request and response, with fewer copies and checks."""

    scope: Any  # uvicorn's type for it knows no extensions
    body: Any  # bytes as long as one packet has brought all of it, then a bytearray

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body = b""

    @classmethod
    def of(cls, connection: HttpToolsProtocol, *, keep_alive: bool) -> "Cycle":
        """Return the cycle of the request whose head a connection has read."""
        return cls(
            scope=connection.scope,
            transport=connection.transport,
            flow=connection.flow,
            logger=connection.logger,
            access_logger=connection.access_logger,
            access_log=False,
            default_headers=connection.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=connection.expect_100_continue,
            keep_alive=keep_alive,
            on_response=connection.on_response_complete,
        )

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Have an application answer."""
        self.scope["extensions"] = {WHOLE: self.whole, TAKEN: self.flow.drain}

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if self.response_started and not self.response_complete:
                self.disconnected = True  # the client must not take it for the whole
                self.transport.abort()

        try:
            await super().run_asgi(answer)
        finally:  # else the two would keep each other in memory
            self.scope["extensions"].clear()

    def take(self, body: bytes) -> None:
        """Take a part of the body; whoever waits hears of it once it is long."""
        if not self.body:
            self.body = body
        elif isinstance(self.body, bytearray):
            self.body += body
        else:
            self.body = bytearray(self.body) + body
        if len(self.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
            self.message_event.set()

    async def receive(self) -> Any:
        """Return the next ASGI message: what has come of the body, not copied."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """
        Write an ASGI message, once the client has taken what was written before.

        Raises:
            DisconnectedError: More is to follow, and nobody takes it.
        """
        await super().send(message)
        if self.disconnected and message.get("more_body", False):
            raise DisconnectedError

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """
        Write an answer at once, if the client keeps up with what it is sent.

        Raises:
            ValueError: A header would break a line.
        """
        if self.flow.write_paused or self.response_started:
            return False
        if self.disconnected:
            return True
        if CLOSE[0] in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            headers += CLOSE
        written = response(status, (*self.default_headers, *headers), body)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(written)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


def response(status: int, headers: Headers, body: bytes) -> bytes:
    """
    Return a response as it goes to a socket.

    Raises:
        ValueError: A header would break a line.
    """
    # Concatenation is several times faster than %.
    head = b"\r\n".join([name + b": " + value for name, value in headers])
    if not head.count(b"\n") == head.count(b"\r") == len(headers) - 1:
        raise ValueError("expected headers of one line each")
    return b"".join((STATUS_LINE[status], head, b"\r\n\r\n", body))
