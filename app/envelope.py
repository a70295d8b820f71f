"""
What every request has around it: an id, problems for errors, and metrics.

Two kinds of request pass through. A *hot* one is for an operation: `hot` maps its
method and path to an endpoint, which is called at once. Any other goes to `cold`, the
framework's own stack of middleware, routing and responses. What concerns both kinds
belongs here, not in a middleware, which hot requests never meet.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Mapping
from itertools import count
from time import perf_counter
from typing import final

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.attendance import Attendance
from app.endpoints import Endpoint
from app.errors import (
    MEDIA_TYPE,
    BadRequestError,
    DeadlineError,
    DisconnectedError,
    InternalError,
    ProblemError,
)
from app.exchange import Answer, Request
from app.lifecycle import Lifecycle
from app.metrics import Metrics

logger = logging.getLogger(__name__)

OTHER = "other"
CLIENT_CLOSED_REQUEST = 499
CLOSE = (b"connection", b"close")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_SECONDS = re.compile(rb"\d{1,9}(\.\d{1,9})?")

Hot = Mapping[tuple[str, str], Endpoint]


@final
class Envelope:
    """Answers HTTP requests through `hot` or `cold`."""

    def __init__(
        self,
        hot: Hot,
        cold: ASGIApp,
        metrics: Metrics,
        lifecycle: Lifecycle,
        *,
        timeout: float,
    ) -> None:
        self._hot = hot
        self._cold = cold
        self._metrics = metrics
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
        endpoint = self._hot.get((request.method, scope["path"]))
        if endpoint is None:
            scope["request_id"] = request_id
            status = await self._through_framework(scope, receive, send, request_id)
            route = scope.get("route")
            path = route.path if isinstance(route, Route) else OTHER
            self._metrics.observe(path, status, perf_counter() - start, n_rows=0)
            return
        answer = await self._attended(endpoint, request, request_id, start)
        if answer is None:
            status, n_rows = CLIENT_CLOSED_REQUEST, 0
        else:
            if self._lifecycle.is_leaving:
                answer = answer._replace(headers=(*answer.headers, CLOSE))
            await answer.send(
                send, request_id=request_id.encode(), method=request.method
            )
            status, n_rows = answer.status, answer.n_rows
        seconds = perf_counter() - start
        self._metrics.observe(request.path, status, seconds, n_rows=n_rows)

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

    async def _through_framework(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> int:
        """Let the framework answer; return the status it sent."""
        status = CLIENT_CLOSED_REQUEST

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
                if self._lifecycle.is_leaving:
                    message["headers"].append(CLOSE)
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._cold(scope, receive, named)
        except DisconnectedError:
            pass
        except Exception:  # the framework re-raises what it answered
            logger.exception("request %s failed", request_id)
        return status

    def _request_id(self, request: Request) -> str:
        """Return the client's request id if it is a plain one, else a fresh one."""
        given = request.headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return str(given, "ascii")
        return f"{self._prefix}-{next(self._count):x}"


def _told(problem: ProblemError, request: Request, request_id: str) -> Answer:
    """Return a problem as an answer."""
    document = problem.document(instance=request.path, request_id=request_id)
    return Answer(
        MEDIA_TYPE, [document], status=problem.status, headers=problem.headers
    )
