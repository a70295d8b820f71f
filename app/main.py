"""The composition root: settings in, the whole service out. Nothing imports it."""

import gc
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import NamedTuple, final

import numpy as np
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app import openapi, operation_routes, pages, problems, routes
from app.access import Guard
from app.access_log import AccessLog
from app.card import Card, MediaTypes, card, service_version
from app.endpoints import Endpoints
from app.engine import Engine, EngineError
from app.envelope import Envelope, Hot
from app.errors import Headers
from app.examples import Examples
from app.lifecycle import Lifecycle
from app.metrics import Metrics
from app.operations import Operations
from app.settings import Settings, SettingsError
from app.startup import fail, keep_freed_memory
from model.checkpoint import CheckpointError


@final
class Around(NamedTuple):
    """What the envelope has besides what it is around."""

    headers: Headers
    guard: Guard
    log: AccessLog | None


@final
class Service(FastAPI):
    """
    The FastAPI application, with an envelope around every HTTP request.

    Hot requests are answered before FastAPI's middleware and routing; see
    `app.envelope` and `app.operation_routes`.
    """

    def enclose(self, hot_endpoints: Hot, metrics: Metrics, around: Around) -> None:
        """Put the envelope around this application."""
        self._envelope = Envelope(
            hot=hot_endpoints,
            cold=super().__call__,
            metrics=metrics,
            headers=around.headers,
            guard=around.guard if around.guard.is_needed else None,
            log=around.log,
        )

    def describe(self, document: openapi.Json) -> None:
        """Have this document served, as it is, for the API."""
        self._document = document

    def openapi(self) -> openapi.Json:
        """Return the API's document."""
        return self._document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._envelope(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> FastAPI:
    """
    Load the checkpoint and build the service around it.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
        EngineError: The device is not there.
        SettingsError: The file of access keys cannot be used.
    """
    guard = Guard(settings)
    engine = Engine.load(
        settings.checkpoint,
        device=settings.device,
        backend=settings.backend,
        n_threads=settings.threads,
    )
    lifecycle, metrics = Lifecycle(), Metrics(n_workers=settings.workers)
    compute = Operations(engine, metrics.observe_batch)
    calls = operation_routes.operations(Endpoints(compute, settings, lifecycle))
    served = card(engine, settings, _media_types(calls))
    around = _around(served, settings, guard)
    metrics.describe(
        version=served.version,
        backend=served.compute.backend,
        device=served.compute.device,
        likelihood=served.likelihood.kind,
    )
    app = Service(
        title="Variational autoencoder",
        version=service_version(),
        description=openapi.DESCRIPTION,
        docs_url=None,  # `pages` has it
        redoc_url=None,
        lifespan=lambda _: _operated(_lifespan(compute, lifecycle), around),
    )
    problems.install(app)
    app.router.routes.extend(operation_routes.routes(calls))
    app.router.routes.extend(routes.about(served).routes)
    app.router.routes.extend(routes.health(compute, lifecycle, metrics).routes)
    app.router.routes.extend(pages.docs(app.title).routes)
    app.enclose(operation_routes.hot(calls), metrics, around)
    document = openapi.document(app, calls, served, Examples(engine))
    app.describe(openapi.guarded(document, settings, public=guard.public))
    return app


def from_environment() -> FastAPI:
    """Build the service from VAE_* variables, or end with one line and status 3."""
    keep_freed_memory()
    try:
        return create_app(Settings.from_environment(os.environ))
    except (SettingsError, CheckpointError, EngineError) as error:
        fail(error)


def _media_types(calls: Iterable[operation_routes.Operation]) -> dict[str, MediaTypes]:
    return {
        call.id: MediaTypes(
            request=[format_.name for format_ in call.readable],
            response=[format_.name for format_ in call.writable],
        )
        for call in calls
    }


def _around(served: Card, settings: Settings, guard: Guard) -> Around:
    return Around(
        headers=((b"x-model-version", served.version.encode()),),
        guard=guard,
        log=AccessLog() if settings.access_log else None,
    )


@asynccontextmanager
async def _lifespan(compute: Operations, lifecycle: Lifecycle) -> AsyncIterator[None]:
    await _warm(compute)
    gc.freeze()  # what is loaded stays: no collection need look through it again
    lifecycle.phase = "ready"
    try:
        yield
    finally:
        lifecycle.phase = "draining"
        compute.close()


@asynccontextmanager
async def _operated(
    life: AbstractAsyncContextManager[None], around: Around
) -> AsyncIterator[None]:
    """Live, with keys that may change and a log that is whole in the end."""
    keys = around.guard.keys
    try:
        async with life:
            with keys.reread_at_hangup() if keys is not None else nullcontext():
                yield
    finally:
        if around.log is not None:
            around.log.close()


async def _warm(compute: Operations) -> None:
    """Run every operation once; a first run is many times slower than the next."""
    sample = await compute.sample(1, seed=0, temperature=1.0, draw="sample")
    x = sample.x.reshape(1, -1)
    await compute.encode(x)
    await compute.elbo(np.ascontiguousarray(x), n_samples=1, seed=0, binarize=None)
