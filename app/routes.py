"""The routes beside the operations: what is served, and how the service is."""

from hashlib import sha256
from typing import final

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from app.batching import STALLED_SECONDS
from app.card import Card
from app.errors import UnavailableError
from app.etags import matches
from app.held_out import HeldOut
from app.lifecycle import Lifecycle
from app.metrics import MEDIA_TYPE, Metrics
from app.operations import Operations

DEAD_SECONDS = 2 * STALLED_SECONDS


def about(card: Card) -> APIRouter:
    """Return the routes that say what is served."""
    routes = APIRouter(tags=["service"])
    document = _Document(card.model_dump_json().encode())

    @routes.get("/model", operation_id="model", response_model=Card)
    @routes.head("/model", include_in_schema=False)
    async def model(request: Request) -> Response:
        """Say what is served: shapes, likelihood, θ and φ, limits, figures."""
        return document.answer(request)

    return routes


def documentation() -> APIRouter:
    """Return the route that leads from `/` to the API documentation."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    @routes.head("/")
    async def index(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    return routes


def examples(held_out: bytes) -> APIRouter:
    """Return the route to held-out rows; `held_out` is a `HeldOut` in JSON."""
    routes = APIRouter(tags=["service"])
    document = _Document(held_out)

    @routes.get("/examples", operation_id="examples", response_model=HeldOut)
    @routes.head("/examples", include_in_schema=False)
    async def rows(request: Request) -> Response:
        """Return held-out rows of the checkpoint, and how such rows score."""
        return document.answer(request)

    return routes


def health(operations: Operations, lifecycle: Lifecycle, metrics: Metrics) -> APIRouter:
    """Return the routes that say how the service is."""
    routes = APIRouter(tags=["service"], default_response_class=PlainTextResponse)

    @routes.get("/livez", operation_id="livez")
    @routes.head("/livez", include_in_schema=False)
    async def livez() -> Response:
        """Say that the process serves HTTP and computes; if not, it is to be ended."""
        if operations.stalled_seconds > DEAD_SECONDS:
            raise UnavailableError("compute is dead", retry_after_seconds=1)
        return PlainTextResponse("ok\n")

    @routes.get("/readyz", operation_id="readyz")
    @routes.head("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        """Say whether requests are taken: loaded, warmed, computing, not draining."""
        lifecycle.check_ready()
        if not operations.alive:
            raise UnavailableError("compute has stopped", retry_after_seconds=1)
        return PlainTextResponse("ready\n")

    @routes.get("/metrics", operation_id="metrics")
    async def exposition() -> Response:
        """Return the metrics as Prometheus reads them."""
        return Response(metrics.exposition(), media_type=MEDIA_TYPE)

    return routes


@final
class _Document:
    """A JSON document that does not change, with its entity tag."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._etag = f'"{sha256(content).hexdigest()}"'

    def answer(self, request: Request) -> Response:
        """Return it, or say that the client has it already."""
        headers = {"etag": self._etag, "cache-control": "no-cache"}
        if matches(request.headers.get("if-none-match"), self._etag):
            return Response(status_code=304, headers=headers)
        return Response(self._content, media_type="application/json", headers=headers)
