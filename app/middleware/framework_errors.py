"""The framework's own errors, told as problems."""

from fastapi import FastAPI
from fastapi.requests import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from app.errors import (
    MEDIA_TYPE,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    ProblemError,
    out_of_memory,
)
from model.engine import is_out_of_memory


def install(app: FastAPI) -> None:
    """Have the framework tell its errors, and those of its endpoints, as problems."""
    app.add_exception_handler(HTTPException, _from_framework)
    app.add_exception_handler(ProblemError, _from_endpoint)
    app.add_exception_handler(Exception, _from_defect)


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
