"""The routes beside the operations: what is served, and how the service is."""

from hashlib import sha256

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from app.batching import STALLED_SECONDS
from app.card import Card
from app.errors import UnavailableError
from app.lifecycle import Lifecycle
from app.metrics import MEDIA_TYPE, Metrics
from app.operations import Operations

DEAD_SECONDS = 2 * STALLED_SECONDS


def about(card: Card) -> APIRouter:
    """Return the routes that say what is served."""
    routes = APIRouter(tags=["service"])
    document = card.model_dump_json().encode()
    etag = f'"{sha256(document).hexdigest()}"'

    @routes.get("/", include_in_schema=False)
    @routes.head("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    @routes.get("/model", operation_id="model", response_model=Card)
    @routes.head("/model", include_in_schema=False)
    async def model(request: Request) -> Response:
        """Say what is served: shapes, likelihood, θ and φ, limits, figures."""
        headers = {"etag": etag, "cache-control": "no-cache"}
        if _matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return Response(document, media_type="application/json", headers=headers)

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


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Compare weakly (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags
