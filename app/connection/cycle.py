"""
One request on a connection, and how its response is written to the socket.

uvicorn's cycle copies every body twice and writes a response in two messages, each
checked header by header. `Cycle` passes bodies on without a copy. It also offers an
ASGI extension, `WHOLE`, which writes a complete response in one step.
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

# Writes a complete response: status, headers with Content-Length, and body. Returns
# False if it cannot now, and the caller sends ASGI messages instead. Otherwise the
# response is sent, or dropped if the client has disconnected.
Whole = Callable[[int, Headers, bytes], bool]
WHOLE: Literal["vae.http.response.whole"] = "vae.http.response.whole"
# Waits until the write buffer is almost empty (some ten KB may remain).
Drain = Callable[[], Awaitable[None]]
DRAIN: Literal["vae.http.response.drain"] = "vae.http.response.drain"


@final
class Cycle(RequestResponseCycle):
    """uvicorn's request and response, with fewer copies and checks."""

    scope: Any  # uvicorn's type for it has no extensions
    body: Any  # bytes while it came in one packet, a bytearray after a second one

    def __init__(self, connection: HttpToolsProtocol, *, keep_alive: bool) -> None:
        """Begin the request whose head a connection has read."""
        super().__init__(
            connection.scope,
            connection.transport,
            connection.flow,
            connection.logger,
            connection.access_logger,
            False,
            connection.server_state.default_headers,
            asyncio.Event(),
            connection.expect_100_continue,
            keep_alive,
            connection.on_response_complete,
        )
        self.body = b""

    async def run_asgi(self, app: ASGI3Application) -> None:
        """
        Run the application for this request.

        uvicorn's own method, two coroutines further from the application, runs only
        for an application that fails.
        """
        self.scope["extensions"] = {WHOLE: self.whole, DRAIN: self.flow.drain}
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001  also cancellation, as uvicorn
            await super().run_asgi(_raising(error))
        else:
            if self.response_started and not self.response_complete:
                # The client must not take the part that was sent for a whole response.
                self.disconnected = True
                self.transport.abort()
            elif not self.response_started:
                await super().run_asgi(_without_response)
        finally:  # breaks reference cycles
            self.on_response = _do_nothing
            self.scope["extensions"].clear()

    def take(self, body: bytes) -> None:
        """Append to the body; wake the reader once the part received is long."""
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
        """Return the next ASGI message: the body received so far, without a copy."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            if self.more_body or not self.body:  # as a rule one packet has all of it
                await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """
        Write an ASGI message, once the write buffer has room.

        Raises:
            DisconnectedError: The client has disconnected, and more would follow.
        """
        await super().send(message)
        if self.disconnected and message.get("more_body", False):
            raise DisconnectedError

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """
        Write a complete response at once, unless the write buffer is full.

        Raises:
            ValueError: A header contains a line break.
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


def _raising(error: BaseException) -> ASGI3Application:
    async def fail(_scope: Any, _receive: Any, _send: Any) -> None:
        raise error

    return fail


async def _without_response(_scope: Any, _receive: Any, _send: Any) -> None:
    pass


def _do_nothing() -> None:
    pass


def response(status: int, headers: Headers, body: bytes) -> bytes:
    """
    Return a response as the bytes of HTTP/1.1.

    Raises:
        ValueError: A header contains a line break.
    """
    # Concatenation is several times faster than %.
    head = b"\r\n".join([name + b": " + value for name, value in headers])
    if not head.count(b"\n") == head.count(b"\r") == len(headers) - 1:
        raise ValueError("expected headers of one line each")
    return b"".join((STATUS_LINE[status], head, b"\r\n\r\n", body))
