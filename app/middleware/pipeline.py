"""
Wraps every HTTP request: access checks, request id, error responses, metrics and logs.

A request for a call, found in the loaded model's table by method and path, is answered
at once: the fast path. Any other goes to FastAPI, inside: pages, 404 and 405. What
concerns both kinds belongs here.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from itertools import count
from time import perf_counter, time
from typing import NamedTuple, final

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from app.call_parts.call import Endpoint
from app.connection.refusal import REFUSAL, Refusal
from app.errors import (
    CLOSE,
    BadRequestError,
    DeadlineError,
    DisconnectedError,
    Headers,
    ProblemError,
)
from app.http.exchange import Request, Response
from app.lifecycle import Lifecycle, ended
from app.middleware.access import Guard
from app.middleware.cancellation import InFlight
from app.middleware.failures import problem_of, problem_response
from app.observability.access_log import OTHER, AccessLog, Line
from app.observability.metrics import Metrics
from app.observability.timing import Timing, begin
from app.observability.tracebacks import without_messages
from app.observability.tracing import Tracer
from app.serving.loaded_model import Current

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
# Not on hot answers, which browsers do not run: a header costs half a microsecond.
_OF_PAGES: Headers = ((b"x-content-type-options", b"nosniff"),)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_SECONDS = re.compile(rb"\d{1,9}(\.\d{1,9})?")


@final
class _Sent(NamedTuple):
    """What became of a request; `n_bytes` are those of the answer's body."""

    route: str
    status: int = CLIENT_CLOSED_REQUEST
    n_rows: int = 0
    n_bytes: int = 0


@final
class Pipeline:
    """
    The application as the server calls it: answers HTTP requests, or has FastAPI do so.

    Args:
        framework: What answers requests that are for no call.
        current: The model that answers the calls.
        timeout: Seconds that a response may take.
        guard: What checks access; None if nothing does.
        log: The access log; None if there is none.
        tracer: What records requests as spans; None if nothing does.
    """

    def __init__(
        self,
        framework: FastAPI,
        current: Current,
        metrics: Metrics,
        lifecycle: Lifecycle,
        *,
        timeout: float,
        guard: Guard | None,
        log: AccessLog | None,
        tracer: Tracer | None,
    ) -> None:
        self.framework = framework
        self.current = current
        self.metrics = metrics
        self._guard = guard
        self._log = log
        self._tracer = tracer
        self._lifecycle = lifecycle
        self._timeout = timeout
        self._prefix = secrets.token_hex(6)
        self._count = count()
        self._in_flight = InFlight()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; lifespan events go to the framework."""
        if scope["type"] == "http":
            await self._respond(scope, receive, send)
        else:
            await self.framework(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        timing = begin()
        loaded = self.current.loaded
        request = Request(scope, receive, loaded.responses)
        request_id = self.request_id(request.headers)
        headers: Headers = ((b"x-request-id", request_id.encode()), *loaded.headers)
        endpoint = loaded.endpoints.get((request.method, request.path))
        route = request.path if endpoint is not None else OTHER
        answer: Response | None = None
        sent: _Sent | None = None
        self.metrics.enter()
        try:
            with loaded.use:
                if self._guard is not None:
                    headers += self._guard.headers(request)
                    answer = _stopped(self._guard, request, request_id)
                if answer is None and endpoint is not None:
                    start = timing.start
                    answer = await self._answer(endpoint, request, request_id, start)
                elif answer is None:
                    scope["request_id"] = request_id
                    sent = await self._from_framework(
                        scope, receive, send, headers, timing
                    )
            del loaded, endpoint  # a slow client must not keep a model in memory
            if answer is not None:
                headers += CLOSE if self._lifecycle.is_leaving else ()
                headers += timing.header()
                sent = await _send(answer, route, scope, send, headers)
        finally:
            self.metrics.leave()
            request.taken()
        if REFUSAL in scope:  # at the socket, so that what was sent here went nowhere
            request_id, status, n_bytes = scope[REFUSAL]
            sent = _Sent(sent.route if sent else route, status, 0, n_bytes)
        self._note(request, request_id, timing, sent or _Sent(route))

    def note_refusal(self, refusal: Refusal) -> None:
        """Note what was refused at the socket and never became a request."""
        request_id, status, n_bytes = refusal
        self.metrics.observe(OTHER, status, None, n_rows=0)
        if self._log is not None:
            who = (time(), request_id, "-", OTHER)
            self._log.note(Line(*who, status, None, None, None, 0, n_bytes))

    def _note(
        self, request: Request, request_id: str, timing: Timing, sent: _Sent
    ) -> None:
        """Note a request that is answered, or is not to be answered any more."""
        route, status, n_rows, n_bytes = sent
        seconds = perf_counter() - timing.start
        self.metrics.observe(route, status, seconds, n_rows=n_rows)
        if self._log is None and self._tracer is None:
            return
        who = (time(), request_id, request.method, route)
        spent = (seconds, *timing.computing())
        line = Line(*who, status, *spent, n_rows, n_bytes)
        if self._tracer is not None:
            line = line._replace(trace_id=self._tracer.record(request, timing, line))
        if self._log is not None:
            self._log.note(line)

    async def _answer(
        self, endpoint: Endpoint, request: Request, request_id: str, start: float
    ) -> Response | None:
        """Return a call's response, a problem if it fails, None if the client left."""
        self._in_flight.enter(request)
        try:
            request.deadline = start + self._allowed_seconds(request)
            answer = await endpoint(request)
            request.hold(answer.n_held)
            return answer
        except DisconnectedError:
            return None
        except asyncio.CancelledError:
            if request.fate is None:
                return problem_response(ended(), request, request_id)
            if request.fate == "departed":
                return None
            seconds = request.deadline - start
            late = DeadlineError(f"expected to answer within {seconds:g} seconds")
            return problem_response(late, request, request_id)
        except Exception as error:  # noqa: BLE001  a defect too: `problem_of` logs it
            problem = problem_of(error, request_id)
            return problem_response(problem, request, request_id)
        finally:
            self._in_flight.leave(request)
            request.release()

    def _allowed_seconds(self, request: Request) -> float:
        """Return how long an answer may take: the setting, or less if so asked."""
        asked = request.headers.get(b"x-request-timeout")
        if asked is None:
            return self._timeout
        if not _SECONDS.fullmatch(asked):
            raise BadRequestError("expected X-Request-Timeout in seconds, such as 2.5")
        return min(float(asked), self._timeout)

    async def _from_framework(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Headers,
        timing: Timing,
    ) -> _Sent:
        """Let the framework answer."""
        status, n_bytes = CLIENT_CLOSED_REQUEST, 0

        async def with_headers(message: Message) -> None:
            nonlocal status, n_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].extend((*headers, *timing.header(), *_OF_PAGES))
                if self._lifecycle.is_leaving:
                    message["headers"].extend(CLOSE)
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            else:
                n_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.framework(scope, receive, with_headers)
        except DisconnectedError:
            pass
        except asyncio.CancelledError:  # the time to drain is over
            status = HTTPStatus.SERVICE_UNAVAILABLE
        except Exception as error:  # noqa: BLE001  re-raised once it is answered
            where = without_messages(error)
            logger.error("request %s failed\n%s", scope["request_id"], where)
        found = scope.get("route")
        route = found.path if isinstance(found, Route) else OTHER
        return _Sent(route, status, 0, n_bytes)

    def request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the client's request id if it is a plain one, else a fresh one."""
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return str(given, "ascii")
        return f"{self._prefix}-{next(self._count):x}"


def _stopped(guard: Guard, request: Request, request_id: str) -> Response | None:
    """Return the answer to a request that may not pass."""
    try:
        return guard.check(request)
    except ProblemError as problem:
        return problem_response(problem, request, request_id)


async def _send(
    answer: Response, route: str, scope: Scope, send: Send, headers: Headers
) -> _Sent:
    """Send an answer; return what became of it."""
    try:
        n_bytes = await answer.send(scope, send, headers=headers)
    except DisconnectedError:
        return _Sent(route)
    except asyncio.CancelledError:  # the time to drain is over: its connection is cut
        return _Sent(route, HTTPStatus.SERVICE_UNAVAILABLE)
    return _Sent(route, answer.status, answer.n_rows, n_bytes)
