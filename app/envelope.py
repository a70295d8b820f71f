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

from app.departures import Departures
from app.endpoints import Endpoint
from app.errors import MEDIA_TYPE, DisconnectedError, InternalError, ProblemError
from app.exchange import Answer, Request
from app.metrics import Metrics

logger = logging.getLogger(__name__)

OTHER = "other"
CLIENT_CLOSED_REQUEST = 499
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")

Hot = Mapping[tuple[str, str], Endpoint]


@final
class Envelope:
    """Answers HTTP requests through `hot` or `cold`."""

    def __init__(self, *, hot: Hot, cold: ASGIApp, metrics: Metrics) -> None:
        self._hot = hot
        self._cold = cold
        self._metrics = metrics
        self._prefix = secrets.token_hex(6)
        self._count = count()
        self._departures = Departures()

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
        answer = await self._attended(endpoint, request, scope["path"], request_id)
        if answer is None:
            status, n_rows = CLIENT_CLOSED_REQUEST, 0
        else:
            await answer.send(
                send, request_id=request_id.encode(), method=request.method
            )
            status, n_rows = answer.status, answer.n_rows
        seconds = perf_counter() - start
        self._metrics.observe(scope["path"], status, seconds, n_rows=n_rows)

    async def _attended(
        self, endpoint: Endpoint, request: Request, path: str, request_id: str
    ) -> Answer | None:
        """Return an endpoint's answer, a problem if it fails, None to nobody."""
        self._departures.enter(request)
        try:
            return await endpoint(request)
        except ProblemError as problem:
            return _problem_answer(problem, path, request_id)
        except DisconnectedError:
            return None
        except asyncio.CancelledError:
            if request.has_departed:
                return None
            raise
        except Exception:  # a defect: logged in full, told as a 500
            logger.exception("request %s failed", request_id)
            return _problem_answer(InternalError(), path, request_id)
        finally:
            self._departures.leave(request)

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


def _problem_answer(problem: ProblemError, path: str, request_id: str) -> Answer:
    """Return a problem as an answer."""
    document = problem.document(instance=path, request_id=request_id)
    return Answer(
        MEDIA_TYPE, [document], status=problem.status, headers=problem.headers
    )
