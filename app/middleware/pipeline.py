"""
Wraps every HTTP request: access checks, request id, error responses, metrics and logs.

A request for a call is looked up by method and path in the loaded model's table, and
answered directly: the fast path. A path with parameters is looked up by its route.
Every other request goes to FastAPI, inside: pages, 404 and 405. What applies to all
requests belongs here.
"""

import asyncio
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from itertools import count
from time import perf_counter, time
from typing import NamedTuple, final

from fastapi import FastAPI
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
from app.http.forwarded import ForwardedHeaders
from app.http.request import Request, below
from app.http.response import Response
from app.lifecycle import Lifecycle, shut_down
from app.middleware.access import AccessCheck
from app.middleware.failures import problem_of, problem_response
from app.middleware.framework import route_of
from app.observability.access_log import OTHER, AccessLog, Line
from app.observability.metrics import Metrics
from app.observability.timing import Timing, begin
from app.observability.tracing import Tracer
from app.serving.in_flight import InFlight
from app.serving.loaded_model import Current
from app.settings import Settings

CLIENT_CLOSED_REQUEST = 499
# Only for pages: calls return no scripts, and a header costs half a microsecond.
_PAGE_HEADERS: Headers = ((b"x-content-type-options", b"nosniff"),)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_SECONDS = re.compile(rb"\d{1,9}(\.\d{1,9})?")


@final
class _Sent(NamedTuple):
    """How a request ended; `n_bytes` is the size of the response body."""

    route: str
    status: int = CLIENT_CLOSED_REQUEST
    n_rows: int = 0
    n_bytes: int = 0


@final
class Pipeline:
    """
    The ASGI application that the server runs.

    Args:
        framework: Handles requests that are not for a call.
        current: Holds the model that handles the calls.
        settings: The time limit, the path prefix, the trusted proxies.
        access: The access checks.
        log: The access log; None if it is off.
        tracer: Records requests as spans; None if tracing is off.
    """

    def __init__(
        self,
        framework: FastAPI,
        current: Current,
        metrics: Metrics,
        lifecycle: Lifecycle,
        *,
        settings: Settings,
        access: AccessCheck,
        log: AccessLog | None,
        tracer: Tracer | None,
    ) -> None:
        self.framework = framework
        self.current = current
        self.metrics = metrics
        self._access = access if access.is_needed else None
        self._cors = access.cors
        self._log = log
        self._tracer = tracer
        self.lifecycle = lifecycle
        self._timeout = settings.request_timeout
        self._root_path = settings.root_path
        self._forwarded = ForwardedHeaders(settings.forwarded_allow_ips)
        self._logs_client = settings.access_log_client
        self._prefix = secrets.token_hex(6)
        self._count = count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an HTTP request; pass lifespan events to the framework."""
        if scope["type"] == "http":
            if self._root_path:
                scope["root_path"] = self._root_path
            await self._respond(scope, receive, send)
        else:
            await self.framework(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request."""
        timing = begin()
        loaded = self.current.loaded
        request = Request(scope, receive, loaded.responses)
        request_id = self.request_id(request.headers)
        headers: Headers = ((b"x-request-id", request_id.encode()), *loaded.headers)
        endpoint = loaded.endpoints.get((request.method, request.path))
        route = request.path if endpoint else route_of(self.framework, scope)
        endpoint = endpoint or loaded.endpoints.get((request.method, route))
        response: Response | None = None
        sent: _Sent | None = None
        if b"origin" in request.headers:
            self._cors.log_refusal(request)
        self.metrics.enter()
        try:
            if self._access is not None:
                headers += self._access.headers(request)
                response = _check_access(self._access, request, request_id)
            if response is None and endpoint is not None:
                response = await self._call(
                    endpoint, loaded.in_flight, request, request_id, timing
                )
            elif response is None:
                scope["request_id"] = request_id
                sent = await self._from_framework(
                    route, scope, receive, send, headers, timing
                )
            del loaded, endpoint  # a slow client must not keep a model in memory
            if response is not None:
                headers += CLOSE if self.lifecycle.is_leaving else ()
                headers += timing.header()
                sent = await _send(response, route, scope, send, headers)
        finally:
            self.metrics.leave()
            request.release_response()
        if REFUSAL in scope:  # the connection has sent an error in place of ours
            request_id, status, n_bytes = scope[REFUSAL]
            sent = _Sent(route, status, 0, n_bytes)
        self._note(scope, request, request_id, timing, sent or _Sent(route))

    def refusal_body(
        self, problem: ProblemError, path: str, request_id: str
    ) -> tuple[bytes, bytes]:
        """Return the media type and the body of an error of the connection."""
        path = below(self._root_path.rstrip("/"), path)
        return problem.body(path, instance="", request_id=request_id)

    def note_refusal(self, refusal: Refusal) -> None:
        """Count and log a request that the connection refused before it got here."""
        request_id, status, n_bytes = refusal
        self.metrics.observe(OTHER, status, None, n_rows=0)
        if self._log is not None:
            identity = (time(), request_id, "-", OTHER)
            self._log.note(Line(*identity, status, None, None, None, 0, n_bytes))

    def _note(
        self,
        scope: Scope,
        request: Request,
        request_id: str,
        timing: Timing,
        sent: _Sent,
    ) -> None:
        """Count, log and trace a request that has ended."""
        route, status, n_rows, n_bytes = sent
        seconds = perf_counter() - timing.start
        self.metrics.observe(route, status, seconds, n_rows=n_rows)
        if self._log is None and self._tracer is None:
            return
        identity = (time(), request_id, request.method, route)
        durations = (seconds, *timing.computing())
        line = Line(*identity, status, *durations, n_rows, n_bytes, key=request.key)
        if self._logs_client:
            line = line._replace(client=self._forwarded.origin(scope).client)
        if self._tracer is not None:
            scheme = self._forwarded.origin(scope).scheme
            trace_id = self._tracer.record(request, timing, line, scheme)
            line = line._replace(trace_id=trace_id)
        if self._log is not None:
            self._log.note(line)

    async def _call(
        self,
        endpoint: Endpoint,
        in_flight: InFlight,
        request: Request,
        request_id: str,
        timing: Timing,
    ) -> Response | None:
        """Return a call's response or problem; None if the client disconnected."""
        in_flight.enter(request)
        try:
            request.deadline = timing.start + self._timeout_of(request)
            response = await endpoint(request)
            request.reserve_response(response.n_held)
            return response
        except DisconnectedError:
            return None
        except asyncio.CancelledError:
            if request.cancel_reason is None:
                return problem_response(shut_down(), request.path, request_id)
            if request.cancel_reason == "disconnected":
                return None
            seconds = request.deadline - timing.start
            late = DeadlineError(f"the response took longer than {seconds:g} seconds")
            return problem_response(late, request.path, request_id)
        except Exception as error:  # noqa: BLE001  also bugs: `problem_of` logs them
            problem = problem_of(error, request_id)
            return problem_response(problem, request.path, request_id)
        finally:
            in_flight.leave(request)
            request.release_body()

    def _timeout_of(self, request: Request) -> float:
        """Return the time limit of a request: its own header, at most the setting."""
        seconds = request.headers.get(b"x-request-timeout")
        if seconds is None:
            return self._timeout
        if not _SECONDS.fullmatch(seconds):
            raise BadRequestError("expected X-Request-Timeout in seconds, such as 2.5")
        return min(float(seconds), self._timeout)

    async def _from_framework(
        self,
        route: str,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Headers,
        timing: Timing,
    ) -> _Sent:
        """Let FastAPI respond, with our headers added."""
        status, n_bytes = CLIENT_CLOSED_REQUEST, 0

        async def with_headers(message: Message) -> None:
            nonlocal status, n_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].extend((*headers, *timing.header(), *_PAGE_HEADERS))
                if self.lifecycle.is_leaving:
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
        except asyncio.CancelledError:  # the drain timeout is over
            status = HTTPStatus.SERVICE_UNAVAILABLE
        except Exception:  # noqa: BLE001, S110  logged; Starlette raises it once more
            pass
        return _Sent(route, status, 0, n_bytes)

    def request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the client's request id if it is well-formed, else a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return str(given, "ascii")
        return f"{self._prefix}-{next(self._count):x}"


def _check_access(
    access: AccessCheck, request: Request, request_id: str
) -> Response | None:
    """Return the response if access is denied or for a preflight, else None."""
    try:
        return access.check(request)
    except ProblemError as problem:
        return problem_response(problem, request.path, request_id)


async def _send(
    response: Response, route: str, scope: Scope, send: Send, headers: Headers
) -> _Sent:
    """Send a response; return how the request ended."""
    try:
        n_bytes = await response.send(scope, send, headers=headers)
    except DisconnectedError:
        return _Sent(route)
    except asyncio.CancelledError:  # the drain timeout is over: the connection is cut
        return _Sent(route, HTTPStatus.SERVICE_UNAVAILABLE)
    return _Sent(route, response.status, response.n_rows, n_bytes)
