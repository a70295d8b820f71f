"""
What every request has around it: a guard, an id, problems, metrics, an access log.

Two kinds of request pass through. A *hot* one is for an operation: its edition maps its
method and path to an endpoint, which is called at once. Any other goes to `cold`, the
framework's own stack of middleware, routing and responses. What concerns both kinds
belongs here, not in a middleware, which hot requests never meet.
"""

import asyncio
import logging
import re
import secrets
from itertools import count
from time import perf_counter, time
from typing import final

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import Guard
from app.access_log import AccessLog, Line
from app.attendance import Attendance
from app.edition import Edition, in_scope
from app.endpoints import Endpoint
from app.errors import (
    CLOSE,
    MEDIA_TYPE,
    BadRequestError,
    DeadlineError,
    DisconnectedError,
    Headers,
    InternalError,
    ProblemError,
)
from app.exchange import Answer, Request
from app.lifecycle import Lifecycle
from app.metrics import Metrics

logger = logging.getLogger(__name__)

OTHER = "other"
CLIENT_CLOSED_REQUEST = 499
# Not on hot answers, which browsers do not run: a header costs half a microsecond.
_OF_PAGES: Headers = ((b"x-content-type-options", b"nosniff"),)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_SECONDS = re.compile(rb"\d{1,9}(\.\d{1,9})?")


@final
class Envelope:
    """
    Answers HTTP requests with an edition, or through `cold`.

    Args:
        timeout: Seconds that an answer may take.
        guard: What stops requests; None if nothing does.
        log: Where requests are told; None if nowhere.

    Attributes:
        edition: What requests that begin now are answered with, each to its end.
    """

    def __init__(
        self,
        edition: Edition,
        cold: ASGIApp,
        metrics: Metrics,
        lifecycle: Lifecycle,
        *,
        timeout: float,
        guard: Guard | None,
        log: AccessLog | None,
    ) -> None:
        self.edition = edition
        self._cold = cold
        self._metrics = metrics
        self._guard = guard
        self._log = log
        self._lifecycle = lifecycle
        self._timeout = timeout  # seconds that an answer may take
        self._prefix = secrets.token_hex(6)
        self._count = count()
        self._attendance = Attendance()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        start = perf_counter()
        request = Request(scope, receive)
        request_id = self._request_id(request)
        edition = self.edition
        headers: Headers = ((b"x-request-id", request_id.encode()), *edition.headers)
        endpoint = edition.hot.get((request.method, request.path))
        route = request.path if endpoint is not None else OTHER
        status, n_rows, n_bytes, answer = CLIENT_CLOSED_REQUEST, 0, 0, None
        edition.use.enter()
        self._metrics.enter()
        try:
            if self._guard is not None:
                headers += self._guard.headers(request)
                answer = _stopped(self._guard, request, request_id)
            if answer is None and endpoint is not None:
                answer = await self._attended(endpoint, request, request_id, start)
            elif answer is None:
                scope["request_id"] = request_id
                with in_scope(scope, edition):
                    sent = await self._framework(scope, receive, send, headers)
                status, n_bytes = sent
                found = scope.get("route")
                route = found.path if isinstance(found, Route) else OTHER
            if answer is not None:
                headers += CLOSE if self._lifecycle.is_leaving else ()
                await answer.send(send, headers=headers, method=request.method)
                status, n_rows = answer.status, answer.n_rows
        finally:
            self._metrics.leave()
            edition.use.leave()
        seconds = perf_counter() - start
        self._metrics.observe(route, status, seconds, n_rows=n_rows)
        if self._log is not None:
            if answer is not None and request.method != "HEAD":
                n_bytes = answer.n_bytes
            who = (time(), request_id, request.method, route)
            self._log.note(Line(*who, status, seconds, n_rows, n_bytes))

    async def _attended(
        self, endpoint: Endpoint, request: Request, request_id: str, start: float
    ) -> Answer | None:
        """Return an endpoint's answer, a problem if it fails, None to nobody."""
        self._attendance.enter(request)
        try:
            request.deadline = start + self._allowed_seconds(request)
            return await endpoint(request)
        except ProblemError as problem:
            return _told(problem, request, request_id)
        except DisconnectedError:
            return None
        except asyncio.CancelledError:
            if request.fate is None:
                raise
            if request.fate == "departed":
                return None
            seconds = request.deadline - start
            late = DeadlineError(f"expected to answer within {seconds:g} seconds")
            return _told(late, request, request_id)
        except Exception:  # a defect: logged in full, told as a 500
            logger.exception("request %s failed", request_id)
            return _told(InternalError(), request, request_id)
        finally:
            self._attendance.leave(request)

    def _allowed_seconds(self, request: Request) -> float:
        """Return how long an answer may take: the setting, or less if so asked."""
        asked = request.headers.get(b"x-request-timeout")
        if asked is None:
            return self._timeout
        if not _SECONDS.fullmatch(asked):
            raise BadRequestError("expected X-Request-Timeout in seconds, such as 2.5")
        return min(float(asked), self._timeout)

    async def _framework(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> tuple[int, int]:
        """Let the framework answer; return status and length of what it sent."""
        status, n_bytes = CLIENT_CLOSED_REQUEST, 0

        async def enveloped(message: Message) -> None:
            nonlocal status, n_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].extend((*headers, *_OF_PAGES))
                if self._lifecycle.is_leaving:
                    message["headers"].extend(CLOSE)
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            else:
                n_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._cold(scope, receive, enveloped)
        except DisconnectedError:
            pass
        except Exception:  # the framework re-raises what it answered
            logger.exception("request %s failed", scope["request_id"])
        return status, n_bytes

    def _request_id(self, request: Request) -> str:
        """Return the client's request id if it is a plain one, else a fresh one."""
        given = request.headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return str(given, "ascii")
        return f"{self._prefix}-{next(self._count):x}"


def _stopped(guard: Guard, request: Request, request_id: str) -> Answer | None:
    """Return the answer to a request that may not pass."""
    try:
        return guard.check(request)
    except ProblemError as problem:
        return _told(problem, request, request_id)


def _told(problem: ProblemError, request: Request, request_id: str) -> Answer:
    """Return a problem as an answer."""
    document = problem.document(instance=request.path, request_id=request_id)
    return Answer(
        MEDIA_TYPE, [document], status=problem.status, headers=problem.headers
    )
