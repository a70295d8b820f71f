"""
FastAPI inside the pipeline: serves the pages, and answers 404 and 405.

Requests for calls do not get here: the pipeline answers them
(`app.middleware.pipeline`). Calls are registered as routes all the same, so that a
wrong method on one of their paths gives a 405 with the right Allow header.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPMethod, HTTPStatus
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.requests import Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Scope

from app.api_docs import openapi, pages
from app.call_parts.call import Call
from app.errors import MethodNotAllowedError, NotFoundError, ProblemError
from app.explorer import explorer
from app.http.request import below
from app.middleware.cors import SETTING, is_preflight
from app.middleware.failures import problem_of, problem_response
from app.observability.access_log import OTHER
from app.settings import Settings
from app.version import service_version

# FastAPI's own telemetry would export URLs and exception messages. Older versions have
# no telemetry.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


class Lifespan(Protocol):
    """The function that returns an application's lifespan context."""

    def __call__(self, app: FastAPI) -> AbstractAsyncContextManager[None]:
        """Return the context in which the application is served."""


def framework(calls: Sequence[Call], settings: Settings, lifespan: Lifespan) -> FastAPI:
    """Return a FastAPI application with the routes of the pages and of the calls."""
    app = FastAPI(
        title=openapi.TITLE,
        version=service_version(),
        openapi_url=None,  # app.calls.openapi serves it
        docs_url=None,  # app.api_docs.pages serves it
        redoc_url=None,
        redirect_slashes=False,  # Starlette's would trust the client's Host header
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY,
    )
    for call in calls:
        app.add_api_route(call.path, _placeholder, methods=[*call.methods])
    page = explorer() if settings.explorer else _index()
    app.router.routes.extend([*page.routes, *pages.docs().routes])
    for kind in (HTTPException, ProblemError, Exception):
        app.add_exception_handler(kind, _handle)
    return app


async def _placeholder() -> None:
    """Reserve the path of a call; the pipeline answers it before FastAPI sees it."""
    raise RuntimeError("the pipeline has no endpoint for a call of the table")


def _index() -> APIRouter:
    """Return the route that redirects `/` to the API documentation."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    @routes.head("/")
    async def index() -> Response:
        return RedirectResponse("docs")

    return routes


async def _handle(request: Request, error: Exception) -> Response:
    """Return the response for an exception, as the pipeline does for calls."""
    if isinstance(error, HTTPException):
        location = _location(request) if error.status_code == 404 else None
        if location is not None:
            return _redirect(location, request)
        error = _routing_problem(request, error)
    request_id = request.scope["request_id"]
    problem = problem_of(error, request_id)
    path = below(request.scope.get("root_path", ""), request.scope["path"])
    response = problem_response(problem, path, request_id)
    return Response(
        b"".join(response.chunks),
        status_code=response.status,
        headers={name.decode(): value.decode() for name, value in response.headers},
        media_type=response.media_type.decode(),
    )


def _routing_problem(request: Request, error: HTTPException) -> Exception:
    """Return the problem for a path or a method without a route."""
    if error.status_code == 404:
        return NotFoundError("there is no resource at this path; /docs lists the calls")
    if error.status_code == 405:
        methods = ", ".join(sorted(_methods(request)))
        allow = ((b"allow", methods.encode()),)
        detail = f"expected {methods}, got {_method_name(request.method)}"
        if is_preflight(request.method, dict(request.headers.raw)):
            detail += f", from a page whose origin is not in {SETTING}"
        return MethodNotAllowedError(detail, headers=allow)
    return error


def _location(request: Request) -> str | None:
    """
    Return where a path leads that has a slash too many, or a prefix that lacks one.

    It is relative to the path, so it keeps the scheme, the host and the prefix that the
    client used, whatever a proxy has changed. It repeats nothing of the client's path.
    """
    root, full = request.scope.get("root_path", "").rstrip("/"), request.scope["path"]
    if root and full == root:
        return f"{root.rpartition('/')[2]}/"
    path = below(root, full)
    known = (route.path for route in request.app.routes if isinstance(route, Route))
    if path.endswith("/") and path[:-1] in known:
        return f"../{path[:-1].rpartition('/')[2]}"
    return None


def _redirect(location: str, request: Request) -> Response:
    """Return a redirect that keeps the method, the body and the query."""
    query = request.scope["query_string"].decode("latin-1")
    target = f"{location}?{query}" if query else location
    status = HTTPStatus.PERMANENT_REDIRECT
    return Response(status_code=status, headers={"location": target})


def _method_name(method: str) -> str:
    """Return a method if it is one of HTTP; others may be anything."""
    return method if method in HTTPMethod.__members__ else "another method"


def _methods(request: Request) -> set[str]:
    """Return the methods of all routes that match the path of a request."""
    return {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE
        for method in route.methods or ()
    }


def route_of(app: FastAPI, scope: Scope) -> str:
    """Return the path of the route for a request that is not for a call."""
    for route in app.routes:
        if isinstance(route, Route) and route.matches(scope)[0] != Match.NONE:
            return route.path
    return OTHER
