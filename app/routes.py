"""The routes beside the operations: what is served, and how the service is."""

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)

from app.card import Card
from app.compute.batcher import STALLED_SECONDS
from app.errors import UnavailableError
from app.held_out import HeldOut
from app.observability.metrics import MEDIA_TYPE, Metrics
from app.serving.lifecycle import Lifecycle
from app.serving.loaded_model import loaded_model_of

DEAD_SECONDS = 2 * STALLED_SECONDS


def about() -> APIRouter:
    """Return the routes that say what is served."""
    routes = APIRouter(tags=["service"])

    @routes.get("/model", operation_id="model", response_model=Card)
    @routes.head("/model", include_in_schema=False)
    async def model(request: Request) -> Response:
        """Say what is served: shapes, likelihood, θ and φ, limits, figures."""
        return loaded_model_of(request.scope).model.answer(request)

    @routes.get("/openapi.json", include_in_schema=False)
    @routes.head("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        document = loaded_model_of(request.scope).openapi
        prefix = request.scope.get("root_path", "").rstrip("/")
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        return JSONResponse({**document, **servers})

    return routes


def documentation() -> APIRouter:
    """Return the route that leads from `/` to the API documentation."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    @routes.head("/")
    async def index(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    return routes


def examples() -> APIRouter:
    """Return the route to held-out rows."""
    routes = APIRouter(tags=["service"])

    @routes.get("/examples", operation_id="examples", response_model=HeldOut)
    @routes.head("/examples", include_in_schema=False)
    async def rows(request: Request) -> Response:
        """Return held-out rows of the checkpoint, and how such rows score."""
        return loaded_model_of(request.scope).examples.answer(request)

    return routes


def health(lifecycle: Lifecycle, metrics: Metrics) -> APIRouter:
    """Return the routes that say how the service is."""
    routes = APIRouter(tags=["service"], default_response_class=PlainTextResponse)

    @routes.get("/livez", operation_id="livez")
    @routes.head("/livez", include_in_schema=False)
    async def livez(request: Request) -> Response:
        """Say that the process serves HTTP and computes; if not, it is to be ended."""
        if loaded_model_of(request.scope).compute.stalled_seconds > DEAD_SECONDS:
            raise UnavailableError("compute is dead", retry_after_seconds=1)
        return PlainTextResponse("ok\n")

    @routes.get("/readyz", operation_id="readyz")
    @routes.head("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
        """Say whether requests are taken: loaded, warmed, computing, not draining."""
        lifecycle.check_ready()
        if not loaded_model_of(request.scope).compute.alive:
            raise UnavailableError("compute has stopped", retry_after_seconds=1)
        return PlainTextResponse("ready\n")

    @routes.get("/metrics", operation_id="metrics")
    async def exposition() -> Response:
        """Return the metrics as Prometheus reads them."""
        return Response(metrics.exposition(), media_type=MEDIA_TYPE)

    return routes
