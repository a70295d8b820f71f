"""
One HTTP connection, hardened for an untrusted network.

uvicorn's protocol reads whatever a client sends, without limits. `Connection` adds
limits: on the size of a head, on the time for a head, a body, an idle connection and a
client that does not read, on pipelined requests, and on connections. It refuses
requests that two parsers could read differently (RFC 9112, 11.2). A refusal is a
problem document like every other error, sent after the responses that are due before
it.

Nearly all requests arrive in one packet. For those only the head is checked; bytes are
counted only for requests that arrive in several packets.
"""

from typing import Any, cast, final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.connection import head, refusal
from app.connection.admission import PROBES
from app.connection.config import ServerConfig
from app.connection.cycle import Cycle
from app.connection.deadlines import Deadlines
from app.connection.half_closed import HalfClosed
from app.connection.phases import Phase
from app.connection.slices import SLICE_BYTES, Slices
from app.errors import (
    BadRequestError,
    ProblemError,
    RequestTimeoutError,
    UnavailableError,
)
from app.lifecycle import RETRY_AFTER_SECONDS

MAX_PIPELINED = 32


@final
class _Discard(list[tuple[bytes, bytes]]):
    """A list that discards trailers, which must not be mistaken for headers."""

    def append(self, field: tuple[bytes, bytes], /) -> None:
        pass


_TRAILERS = _Discard()


@final
class Connection(HttpToolsProtocol):
    """uvicorn's httptools protocol, with the limits of the settings."""

    def __init__(
        self,
        config: ServerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: Any = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits = config.limits
        self.url, self.headers = b"", []
        self._last: Cycle | None = None  # the last request whose head is complete
        self._running: Cycle | None = None  # the last request that was started
        self._refusal: ProblemError | None = None
        self._refusal_sent = False  # the refusal is written; further data is dropped
        self._n_packet = 0  # size of the packet that is being parsed
        self.n_body = 0  # bytes of the body received so far
        self._unfinished = head.Unfinished(limits)
        self._deadlines = Deadlines(self, limits, self.loop)
        self._slices = Slices(self, self.loop)
        self._admission = config.admission
        self._is_for_probes = False

    def connection_made(self, transport: Any) -> None:
        others = cast("set[Connection]", self.connections)
        admitted = self._admission.admit(self, transport, others)
        self._is_for_probes = not admitted
        super().connection_made(transport)
        self._deadlines.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadlines.stop()
        self._admission.forget(self)
        if self._running is not None:  # uvicorn notifies the last of a pipeline only
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def idle_seconds(self) -> float:
        """Return for how many seconds the connection has been idle; 0 if it is not."""
        phase = self.phase(self.transport.get_write_buffer_size())
        is_idle = phase == "idle" or (phase == "head" and self.scope is None)
        if not is_idle or self.transport.is_closing():
            return 0.0
        return self._deadlines.unchanged_seconds()

    def close(self) -> None:
        """Close the connection without a response."""
        self.connections.discard(self)  # now: a new connection needs the place at once
        self.transport.close()

    def refuse_all(self) -> None:
        """Refuse every request on the connection, and close it."""
        if self._refusal is None:
            self._refuse(self._admission.refusal())
        self.transport.close()

    def data_received(self, data: bytes | memoryview) -> None:
        if self._refusal is not None:
            return
        self._n_packet = len(data)
        if self._n_packet > SLICE_BYTES and self._slices.take(data):
            return
        n_read: int | None = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            n_read = upgrade.args[0]
        except httptools.HttpParserError as error:
            self._refuse(head.problem(error))
            return
        if n_read is not None:
            self._ignore_upgrade(memoryview(data)[n_read:])
            return
        cycle = self._last
        if cycle is None or cycle.more_body or cycle.scope is not self.scope:
            self._count_unfinished(len(data))

    def ignores_data(self) -> bool:
        """Return whether all further data are dropped."""
        return self._refusal is not None or self.transport.is_closing()

    def n_announced(self) -> int | None:
        """Return how much of the body is to come; 0 between bodies, None if chunked."""
        cycle = self._last
        if cycle is None or not cycle.more_body or cycle.scope is not self.scope:
            return 0
        length = head.content_length(cycle.scope["headers"])
        return None if length is None else length - self.n_body

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's says nothing
        """Finish responding to a half-closed client; return whether to stay open."""
        running, last = self._running, self._last
        if running is None or last is None or self._refusal is not None:
            return False
        if running.response_complete or running.more_body:
            return False
        last.keep_alive = False
        HalfClosed(running, self.transport, self.loop)
        return True

    def on_headers_complete(self) -> None:
        fields, limits = self.headers, self._limits
        if len(fields) > limits.max_headers:
            raise head.too_many(limits.max_headers)
        if self._n_packet > limits.max_header_bytes or self._unfinished.has(self.scope):
            head.check_size(self.url, fields, limits.max_header_bytes)
        headers = dict(fields)
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head.check_fields(headers, fields, version)
        if self.parser.should_upgrade():
            if b"upgrade" not in headers:
                raise BadRequestError("expected a method other than CONNECT")
            return  # `_ignore_upgrade` reads the head again
        if self._is_for_probes and head.target(self.url)[0] not in PROBES:
            raise self._admission.refusal()
        if len(self.pipeline) >= MAX_PIPELINED:
            raise UnavailableError(
                f"expected at most {MAX_PIPELINED} pipelined requests on a connection",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        if not self.url.startswith(b"/"):
            head.take_host(self.url, fields)
        self._begin(method, version)
        self.headers = _TRAILERS
        self.n_body = 0
        self._unfinished.begin()

    def _begin(self, method: bytes, version: str) -> None:
        """Start the application for the request, now or after the requests before."""
        path, raw_path, query = head.target(self.url)
        self.scope["method"] = method.decode()
        self.scope["http_version"] = version
        self.scope["path"] = path
        self.scope["raw_path"] = raw_path
        self.scope["query_string"] = query
        keep_alive = version != "1.0" and self.parser.should_keep_alive()
        before, cycle = self._last, Cycle(self, keep_alive=keep_alive)
        self.cycle = self._last = cycle
        is_free = before is None or before.response_complete
        if is_free and not self.flow.write_paused:
            self._running = cycle
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self.n_body += len(body)
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
            self._start_next()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._running is not None and self._running.response_complete:
            self._start_next()

    def _start_next(self) -> None:
        """Start the next pipelined request once the last response has been sent."""
        if self.flow.write_paused:
            return  # responses that a client does not read must not pile up
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._running = cast("Cycle", cycle)
            self._start_asgi_task(cycle, app)
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
            return
        if not self.pipeline:  # else the queue of requests could grow without limit
            self.flow.resume_reading()

    def _count_unfinished(self, size: int) -> None:
        """Count a packet that ends in the middle of a head or a body."""
        is_first, count = self._last is None, self._unfinished.problem
        problem = count(size, self.scope, self.n_body, self.url, is_first=is_first)
        if problem is not None:
            self._refuse(problem)
        elif len(self.headers) > self._limits.max_headers:
            self._refuse(head.too_many(self._limits.max_headers))

    def _ignore_upgrade(self, rest: memoryview) -> None:
        """
        Parse a request with an Upgrade header as if it had none.

        A server may ignore Upgrade (RFC 9110, 7.8). httptools cannot: it leaves the
        body to the other protocol. So the head is parsed again without the header.
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

    def phase(self, n_unsent: int) -> Phase:
        """Return the phase that the connection is in."""
        if n_unsent:
            return "unread"
        if self._refusal_sent:
            return "refused"
        cycle = self._last
        if cycle is None or cycle.scope is not self.scope:
            return "head"
        if cycle.more_body:
            return "body"
        return "idle" if cycle.response_complete else "response"

    def expire(self, phase: Phase, seconds: float) -> None:
        """End a phase that has taken longer than its limit in seconds."""
        if phase in {"unread", "refused"}:
            self.transport.abort()
        elif phase == "idle" or self.scope is None:  # no request has begun
            self.transport.close()
        elif self._refusal is None:
            self._refuse(
                RequestTimeoutError(
                    f"expected the {phase} of the request within {seconds:g} seconds"
                )
            )

    def _refuse(self, problem: ProblemError) -> None:
        """Send an error once the responses before it are sent; then close."""
        self._refusal = problem
        cycle = self._last
        if cycle is None or cycle.scope is not self.scope or not cycle.more_body:
            if cycle is None or cycle.response_complete:
                self._send_refusal(problem)
            return
        # The error is in the body of a request that the application already handles.
        cycle.disconnected = True
        cycle.message_event.set()
        if self.pipeline:
            self.pipeline.popleft()
        elif cycle.response_started:
            self.transport.close()
        else:
            self._send_refusal(problem, cycle.scope)

    def _send_refusal(self, problem: ProblemError, running: Any = None) -> None:
        """Write an error, and keep reading for a while, so that no RST discards it."""
        if not self.transport.is_closing():
            self._refusal_sent = True
            self.flow.resume_reading()
            refusal.write(problem, self, running)
            self.transport.write_eof()
