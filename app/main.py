"""The composition root: settings in, the whole service out. Nothing imports it."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import final

import numpy as np
from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from app import (
    analysis_routes,
    openapi,
    operation_routes,
    pages,
    path_routes,
    problems,
    routes,
    tracing,
)
from app.access import Guard
from app.access_log import AccessLog
from app.analyses import Analyses
from app.analysis_endpoints import AnalysisEndpoints
from app.analysis_requests import AnalysisRequests
from app.anomaly_endpoints import AnomalyEndpoints
from app.batching import Capacity
from app.card import Card, MediaTypes, card, service_version
from app.endpoints import Endpoints
from app.engine import Engine, EngineError
from app.engine.analyses import Analyst
from app.envelope import Envelope
from app.environment import SettingsError
from app.examples import Examples
from app.explorer import explorer
from app.held_out import held_out
from app.imputation_endpoints import ImputationEndpoints
from app.lifecycle import Lifecycle
from app.metrics import Metrics
from app.operation_routes import Operation
from app.operations import Operations
from app.path_endpoints import PathEndpoints
from app.reading import Reader
from app.settings import Settings
from app.startup import fail, keep_freed_memory
from app.tracing import Tracer
from model.checkpoint import Checkpoint, CheckpointError


@final
class Service(FastAPI):
    """
    The FastAPI application, with an envelope around every HTTP request.

    Hot requests are answered before FastAPI's middleware and routing; see
    `app.envelope` and `app.operation_routes`.
    """

    def enclose(self, envelope: Envelope) -> None:
        """Have every HTTP request pass through an envelope."""
        self._envelope = self.recorder = envelope

    async def framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as FastAPI does, without the envelope."""
        await super().__call__(scope, receive, send)

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
            await self.framework(scope, receive, send)


def create_app(settings: Settings, tracer: Tracer | None = None) -> FastAPI:
    """
    Load the checkpoint and build the service around it.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
        EngineError: The device is not there.
        SettingsError: The file of access keys cannot be used.
    """
    guard, log = Guard(settings), AccessLog() if settings.access_log else None
    engine = _engine(settings)
    lifecycle, metrics = Lifecycle(), Metrics(n_workers=settings.workers)
    capacity = Capacity(settings.max_queue_rows, settings.max_queue_bytes)
    compute = Operations(engine, metrics.observe_batch, capacity)
    runner = Analyses(max_in_hand=settings.max_analyses)
    reader = Reader(engine.checkpoint, settings)
    calls = _calls(reader, compute, runner, settings, lifecycle)
    served = card(engine, settings, {call.id: _media_types(call) for call in calls})
    _state(served, metrics)
    life = partial(_lifespan, compute, runner, lifecycle, settings.drain_delay)
    app = _service(lambda: _operated(life(), guard, log, tracer))
    problems.install(app)
    app.router.routes.extend(operation_routes.routes(calls))
    app.router.routes.extend(routes.about(served).routes)
    app.router.routes.extend(_index(engine.checkpoint, settings))
    app.router.routes.extend(routes.health(compute, lifecycle, metrics).routes)
    app.router.routes.extend(pages.docs(app.title).routes)
    app.enclose(
        Envelope(
            operation_routes.hot(calls),
            app.framework,
            metrics,
            lifecycle,
            timeout=settings.request_timeout,
            headers=((b"x-model-version", served.version.encode()),),
            guard=guard if guard.is_needed else None,
            log=log,
            tracer=tracer,
        )
    )
    document = openapi.document(app, calls, served, Examples(engine, reader.images))
    app.describe(openapi.guarded(document, settings, public=guard.public))
    return app


def _index(checkpoint: Checkpoint, settings: Settings) -> list[BaseRoute]:
    """Return the routes of `/`: the explorer with its rows, or the documentation."""
    if not settings.explorer:
        return routes.documentation().routes
    rows = routes.examples(held_out(checkpoint))
    return [*rows.routes, *explorer().routes]


def _calls(
    reader: Reader,
    compute: Operations,
    runner: Analyses,
    settings: Settings,
    lifecycle: Lifecycle,
) -> tuple[Operation, ...]:
    """Return every call of the contract but those about the service."""
    requests = AnalysisRequests(reader, compute, runner, settings, lifecycle)
    analyst = Analyst(compute.engine)
    return (
        *operation_routes.operations(Endpoints(reader, compute, settings, lifecycle)),
        *path_routes.operations(PathEndpoints(reader, compute, settings, lifecycle)),
        *analysis_routes.operations(
            AnalysisEndpoints(requests, analyst),
            AnomalyEndpoints(requests, analyst),
            ImputationEndpoints(requests, analyst),
        ),
    )


def from_environment() -> FastAPI:
    """Build the service from VAE_* variables, or end with one line and status 3."""
    keep_freed_memory()
    try:
        settings = Settings.from_environment(os.environ)
        return create_app(settings, tracing.from_environment(os.environ))
    except (SettingsError, CheckpointError, EngineError) as error:
        fail(error)


def _service(life: Callable[[], AbstractAsyncContextManager[None]]) -> Service:
    return Service(
        title="Variational autoencoder",
        version=service_version(),
        description=openapi.DESCRIPTION,
        docs_url=None,  # `pages` has it
        redoc_url=None,
        lifespan=lambda _: life(),
    )


def _engine(settings: Settings) -> Engine:
    return Engine.load(
        settings.checkpoint,
        device=settings.device,
        backend=settings.backend,
        n_threads=settings.threads,
    )


def _state(served: Card, metrics: Metrics) -> None:
    """Have the metrics say what is served."""
    metrics.describe(
        version=served.version,
        backend=served.compute.backend,
        device=served.compute.device,
        likelihood=served.likelihood.kind,
    )


def _media_types(call: Operation) -> MediaTypes:
    return MediaTypes(
        request=[format_.name for format_ in call.readable],
        response=[format_.name for format_ in call.writable],
    )


@asynccontextmanager
async def _lifespan(
    compute: Operations, runner: Analyses, lifecycle: Lifecycle, drain_delay: float
) -> AsyncIterator[None]:
    await _warm(compute)
    gc.freeze()  # what is loaded stays: no collection need look through it again
    lifecycle.phase = "ready"
    try:
        with lifecycle.leaving_at_sigterm(drain_delay):
            yield
    finally:
        lifecycle.phase = "draining"
        runner.close()
        compute.close()


@asynccontextmanager
async def _operated(
    life: AbstractAsyncContextManager[None],
    guard: Guard,
    log: AccessLog | None,
    tracer: Tracer | None,
) -> AsyncIterator[None]:
    """Live, with keys that may change, and log and traces that are whole in the end."""
    keys = guard.keys
    try:
        async with life:
            with keys.reread_at_hangup() if keys is not None else nullcontext():
                yield
    finally:
        if log is not None:
            log.close()
        if tracer is not None:
            await asyncio.to_thread(tracer.close)


async def _warm(compute: Operations) -> None:
    """Run every operation once; a first run is many times slower than the next."""
    sample = await compute.sample(1, seed=0, temperature=1.0, draw="sample")
    x = sample.x.reshape(1, -1)
    await compute.encode(x)
    await compute.elbo(np.ascontiguousarray(x), n_samples=1, seed=0, binarize=None)
