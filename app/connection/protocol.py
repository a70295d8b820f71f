"""
One HTTP connection of a service that may stand on a hostile network.

uvicorn's protocol reads what comes, as much and as long as it comes. `Connection` adds
limits: on the size of a head, on the time that a head, a body, an idle connection and
a client that does not read may take, on pipelined requests, and on connections. It
refuses what two parsers could read as two different requests (RFC 9112, 11.2). What
it refuses is told as every other problem, after the answers that are due before it.

A request that comes whole in one packet, as nearly all do, pays for the checks of its
head and for nothing else: time is looked at by a timer of the connection, a few times
per deadline, and bytes are counted only of what came in several packets.
"""

from typing import Any, cast, final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.connection import head, phases, refusal
from app.connection.config import Config
from app.connection.cycle import Cycle
from app.connection.phases import Phase
from app.errors import (
    BadRequestError,
    ProblemError,
    RequestTimeoutError,
    UnavailableError,
)
from app.serving.lifecycle import RETRY_AFTER_SECONDS

MAX_PIPELINED = 32
_MAX_TICK_SECONDS = 1.0
_TICKS_PER_DEADLINE = 4


@final
class _Dropped(list[tuple[bytes, bytes]]):
    """Where trailers go: were they kept, they would pass for headers."""

    def append(self, field: tuple[bytes, bytes], /) -> None:
        pass


_TRAILERS = _Dropped()


@final
class Connection(HttpToolsProtocol):
    """uvicorn's protocol on httptools, within the limits of the settings."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: Any = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits = config.limits
        self.url, self.headers = b"", []
        self._last: Cycle | None = None  # the last with its head read
        self._running: Cycle | None = None  # the last that was started
        self._refusal: ProblemError | None = None
        self._is_told = False  # the refusal is written; what comes is dropped
        self._n_packet = 0  # bytes of the packet that is being parsed
        self._n_body = 0  # bytes of the body that have come
        self._n_unfinished = 0  # bytes of packets that completed nothing
        self._counted: tuple[object, int] = (None, 0)
        self._timer: Any = None
        self._watched: tuple[object, Phase, int] = (None, "head", 0)
        self._since = self.loop.time()
        shortest = min(limits.head_timeout, limits.body_timeout, limits.idle_timeout)
        self._tick_seconds = min(_MAX_TICK_SECONDS, shortest / _TICKS_PER_DEADLINE)

    def connection_made(self, transport: Any) -> None:
        limit = self._limits.max_connections
        if len(self.connections) >= limit:
            problem = UnavailableError(
                f"expected at most {limit} connections",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
            self.transport = transport
            refusal.write(problem, self)
            transport.close()
            return
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._tick_seconds, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None:  # uvicorn tells the last of a pipeline only
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    # What comes

    def data_received(self, data: bytes | memoryview) -> None:
        if self._refusal is not None:
            return
        self._n_packet = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(memoryview(data)[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(head.problem(error))
            return
        cycle = self._last
        if cycle is None or cycle.more_body or cycle.scope is not self.scope:
            self._count_unfinished(len(data))

    def on_headers_complete(self) -> None:
        fields, limits = self.headers, self._limits
        head.check_count(fields, limits.max_headers)
        is_in_one_packet = self._counted[0] is not self.scope
        if self._n_packet > limits.max_header_bytes or not is_in_one_packet:
            head.check_size(self.url, fields, limits.max_header_bytes)
        headers = dict(fields)
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head.check_fields(headers, fields, version)
        if self.parser.should_upgrade():
            if b"upgrade" not in headers:
                raise BadRequestError("expected a method other than CONNECT")
            return  # `_stay` comes next
        if len(self.pipeline) >= MAX_PIPELINED:
            raise UnavailableError(
                f"expected at most {MAX_PIPELINED} requests to wait on a connection",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._begin(method, version)
        self.headers = _TRAILERS
        self._n_body = self._n_unfinished = 0

    def _begin(self, method: bytes, version: str) -> None:
        """Have the application answer the request, now or after those before it."""
        path, raw_path, query = head.target(self.url)
        self.scope["method"] = method.decode()
        self.scope["http_version"] = version
        self.scope["path"] = path
        self.scope["raw_path"] = raw_path
        self.scope["query_string"] = query
        keep_alive = version != "1.0" and self.parser.should_keep_alive()
        before, cycle = self._last, Cycle.of(self, keep_alive=keep_alive)
        self.cycle = self._last = cycle
        is_free = before is None or before.response_complete
        if is_free and not self.flow.write_paused:
            self._running = cycle
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._n_body += len(body)
        if self._last is not None and not self._last.response_complete:
            self._last.take(body)

    def on_message_complete(self) -> None:
        cycle = self._last
        if cycle is not None and cycle.scope is self.scope:
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self._go_on()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._running is not None and self._running.response_complete:
            self._go_on()

    def _go_on(self) -> None:
        """Begin the next request of the pipeline once the last response is taken."""
        if self.flow.write_paused:
            return  # what is computed for a client that does not read is held for it
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._running = cast("Cycle", cycle)
            self._start_asgi_task(cycle, app)
        elif self._refusal is not None:
            self._tell(self._refusal)
            return
        if not self.pipeline:  # or what waits would grow with every answer
            self.flow.resume_reading()

    def _count_unfinished(self, size: int) -> None:
        """
        Count a packet that ends within a head or a body.

        Of a body only what brings nothing of it counts: extensions and trailers. The
        first packet of a head may be part of something else; it is not counted but at
        the start of a connection, so that a limit may be exceeded by one packet.
        """
        scope, n_body = self._counted
        if scope is not self.scope or n_body != self._n_body:
            self._counted = (self.scope, self._n_body)
            self._n_unfinished = 0 if self._last or scope else size
        else:
            self._n_unfinished += size
        limit = self._limits.max_header_bytes
        if self._n_unfinished > limit:
            self._refuse(head.too_large(self.url, limit))
        elif len(self.headers) > self._limits.max_headers:
            self._refuse(head.too_many(self._limits.max_headers))

    def _stay(self, rest: memoryview) -> None:
        """
        Read a request that asks for another protocol as one that does not.

        A server may ignore Upgrade (RFC 9110, 7.8). httptools cannot: it takes the
        body for the other protocol's. So the head is read again without the header.
        """
        plain = head.without_upgrade(
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version(),
            self.headers,
        )
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(plain)
        if rest:
            self.data_received(rest)

    # Limits of time

    def _tick(self) -> None:
        """Close the connection if nothing has changed on it for too long."""
        now = self.loop.time()
        n_unsent = self.transport.get_write_buffer_size()
        phase = self._phase(n_unsent)
        scope, *watched = self._watched
        if scope is not self.scope or watched != [phase, n_unsent]:
            self._watched = (self.scope, phase, n_unsent)
            self._since = now
        elif self.flow.read_paused and phase in {"head", "body"}:
            self._since = now  # the client may be held up by this side
        elif now - self._since > phases.seconds(phase, self._limits, self._n_body):
            self._expire(phase)
        self._timer = self.loop.call_later(self._tick_seconds, self._tick)

    def _phase(self, n_unsent: int) -> Phase:
        if n_unsent:
            return "unread"
        if self._is_told:
            return "refused"
        cycle = self._last
        if cycle is None or cycle.scope is not self.scope:
            return "head"
        if cycle.more_body:
            return "body"
        return "idle" if cycle.response_complete else "answer"

    def _expire(self, phase: Phase) -> None:
        if phase in {"unread", "refused"}:
            self.transport.abort()
        elif phase == "idle" or self._watched[0] is None:  # nothing came
            self.transport.close()
        elif self._refusal is None:
            self._refuse(
                RequestTimeoutError(
                    f"expected the {phase} of the request within "
                    f"{phases.seconds(phase, self._limits, self._n_body):g} seconds"
                )
            )

    # Refusals

    def _refuse(self, problem: ProblemError) -> None:
        """Tell a problem once the answers before it are sent; then close."""
        self._refusal = problem
        cycle = self._last
        if cycle is None or cycle.scope is not self.scope or not cycle.more_body:
            if cycle is None or cycle.response_complete:
                self._tell(problem)
            return
        # The fault is in the body of a request that is already the application's.
        cycle.disconnected = True
        cycle.message_event.set()
        if self.pipeline:
            self.pipeline.popleft()
        elif cycle.response_started:
            self.transport.close()
        else:
            self._tell(problem, cycle.scope)

    def _tell(self, problem: ProblemError, running: Any = None) -> None:
        """Write a problem, and read on for a while so that it is not lost to a RST."""
        if not self.transport.is_closing():
            self._is_told = True
            self.flow.resume_reading()
            refusal.write(problem, self, running)
            self.transport.write_eof()
