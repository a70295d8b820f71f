"""
FastAPI inside the middleware: the pages, and what is said of paths and methods.

Calls are answered before a request comes this far (`app.middleware.pipeline`). They are
routes here all the same, so that another method of their path is a 405 that names
theirs, and no path is redirected.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.requests import Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from app.api_docs import openapi, pages
from app.call_parts.call import Call
from app.errors import (
    MEDIA_TYPE,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    ProblemError,
    out_of_memory,
)
from app.explorer import explorer
from app.settings import Settings
from app.version import service_version
from model.engine import is_out_of_memory

# FastAPI's own, which would send URLs and the messages of exceptions. Older versions
# have none.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


class Lifespan(Protocol):
    """What runs while an application is served."""

    def __call__(self, app: FastAPI) -> AbstractAsyncContextManager[None]:
        """Return it as a context."""


def framework(calls: Sequence[Call], settings: Settings, lifespan: Lifespan) -> FastAPI:
    """Return FastAPI with the routes of pages and of calls."""
    app = FastAPI(
        title=openapi.TITLE,
        version=service_version(),
        openapi_url=None,  # a call has it
        docs_url=None,  # `pages` has it
        redoc_url=None,
        redirect_slashes=False,  # it would send clients to whatever Host they sent
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY,
    )
    for call in calls:
        app.add_api_route(call.path, _answered_before, methods=[*call.methods])
    page = explorer() if settings.explorer else _index()
    app.router.routes.extend([*page.routes, *pages.docs().routes])
    app.add_exception_handler(HTTPException, _from_framework)
    app.add_exception_handler(ProblemError, _from_endpoint)
    app.add_exception_handler(Exception, _from_defect)
    return app


async def _answered_before() -> None:
    """Stand for a call, which the pipeline has answered before."""
    raise RuntimeError("the pipeline has no endpoint for a call of the table")


def _index() -> APIRouter:
    """Return the route that leads from `/` to the API documentation."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    @routes.head("/")
    async def index(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    return routes


async def _from_framework(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 404:
        return _response(request, NotFoundError("there is nothing at this path"))
    if isinstance(error, HTTPException) and error.status_code == 405:
        methods = ", ".join(sorted(_methods(request)))
        allow = ((b"allow", methods.encode()),)
        problem = MethodNotAllowedError(f"expected {methods}", headers=allow)
        return _response(request, problem)
    return _response(request, InternalError())


async def _from_endpoint(request: Request, error: Exception) -> Response:
    problem = error if isinstance(error, ProblemError) else InternalError()
    return _response(request, problem)


async def _from_defect(request: Request, error: Exception) -> Response:
    lacking = is_out_of_memory(error)
    return _response(request, out_of_memory() if lacking else InternalError())


def _methods(request: Request) -> set[str]:
    """Return the methods that any route has for the path of a request."""
    return {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE
        for method in route.methods or ()
    }


def _response(request: Request, problem: ProblemError) -> Response:
    return Response(
        problem.document(
            instance=request.url.path, request_id=request.scope["request_id"]
        ),
        status_code=problem.status,
        headers={name.decode(): value.decode() for name, value in problem.headers},
        media_type=MEDIA_TYPE.decode(),
    )
