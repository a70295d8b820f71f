"""The composition root: settings in, the whole service out. Nothing imports it."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, final

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.api_docs import openapi
from app.environment import SettingsError
from app.middleware import framework_errors
from app.middleware.access import Guard
from app.middleware.pipeline import Pipeline
from app.observability import log as operator_log
from app.observability import tracing
from app.observability.access_log import STANDARD_OUTPUT, AccessLog
from app.observability.metrics import Metrics
from app.observability.output import Output
from app.observability.process_metrics import ProcessMetrics
from app.observability.tracing import Tracer
from app.server import start_lines
from app.server.startup import (
    StartError,
    fail,
    keep_freed_memory,
    switch_threads_soon,
)
from app.serving import sighup
from app.serving.lifecycle import Lifecycle
from app.serving.loader import Loader
from app.serving.reload import Reloader
from app.settings import Settings
from app.version import service_version
from model.checkpoint import CheckpointError
from model.engine import EngineError


@final
class Service(FastAPI):
    """
    The FastAPI application, with an pipeline around every HTTP request.

    Hot requests are answered before FastAPI's middleware and routing; see
    `app.middleware.pipeline` and `app.operation_routes`.
    """

    def enclose(self, pipeline: Pipeline) -> None:
        """Have every HTTP request pass through a pipeline."""
        self._pipeline = self.recorder = pipeline

    def describe(self, start_lines: list[str], processes: ProcessMetrics) -> None:
        """Say what the server says at the start, and where it counts what it sees."""
        self.start_lines, self.processes = start_lines, processes

    async def framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as FastAPI does, without the pipeline."""
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the API's document, of the checkpoint that is served now."""
        return dict(self._pipeline.loaded.openapi)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._pipeline(scope, receive, send)
        else:
            await self.framework(scope, receive, send)


def create_app(settings: Settings, tracer: Tracer | None = None) -> Service:
    """
    Load the checkpoint and build the service around it.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, or does not compute what
            it did when it was written.
        EngineError: The device is not there.
        SettingsError: The file of access keys cannot be used.
    """
    guard, lifecycle = Guard(settings), Lifecycle()
    metrics = Metrics(n_workers=settings.workers)
    log = _access_log(metrics) if settings.access_log else None
    operator_log.count_dropped(partial(metrics.processes.count_dropped, "log"))
    app = _service(lambda: _operated(live(), reloader, guard, log, tracer))
    framework_errors.install(app)
    loader = Loader(app, settings, lifecycle, metrics, public=guard.public)
    loaded = loader.load()
    metrics.describe(**loaded.labels)
    pipeline = Pipeline(
        loaded,
        app.framework,
        metrics,
        lifecycle,
        timeout=settings.request_timeout,
        guard=guard if guard.is_needed else None,
        log=log,
        tracer=tracer,
    )
    app.enclose(pipeline)
    app.describe(start_lines.about(loaded, settings), metrics.processes)
    reloader = Reloader(
        loader,
        pipeline,
        metrics,
        settings.checkpoint,
        watch_seconds=settings.watch_seconds,
    )
    live = partial(_lifespan, pipeline, reloader, lifecycle, settings.drain_delay)
    return app


def from_environment() -> FastAPI:
    """Build the service from VAE_* variables, or end with one line and status 3."""
    try:
        return build(Settings.from_environment(os.environ))
    except (SettingsError, StartError) as error:
        fail(error)


def build(settings: Settings) -> Service:
    """
    Build the service in a process of its own.

    Raises:
        StartError: It cannot be served.
    """
    keep_freed_memory()
    switch_threads_soon()
    try:
        return create_app(settings, tracing.from_environment(os.environ))
    except (SettingsError, CheckpointError, EngineError) as error:
        raise StartError(str(error)) from error


def _access_log(metrics: Metrics) -> AccessLog:
    output = Output(STANDARD_OUTPUT)
    output.on_drop = partial(metrics.processes.count_dropped, "access")
    return AccessLog(output)


# FastAPI's own, which would send URLs and the messages of exceptions. Older versions
# have none.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


def _service(life: Callable[[], AbstractAsyncContextManager[None]]) -> Service:
    return Service(
        title="Variational autoencoder",
        version=service_version(),
        description=openapi.DESCRIPTION,
        openapi_url=None,  # `routes` has it
        docs_url=None,  # `pages` has it
        redoc_url=None,
        redirect_slashes=False,  # it would send clients to whatever Host they sent
        lifespan=lambda _: life(),
        telemetry=_NO_TELEMETRY,
    )


@asynccontextmanager
async def _lifespan(
    pipeline: Pipeline, reloader: Reloader, lifecycle: Lifecycle, drain_delay: float
) -> AsyncIterator[None]:
    # What is loaded stays: no collection need look through it again. The loaded, which
    # may go, has no cycles once it is closed.
    gc.freeze()
    async with reloader.reloading():
        lifecycle.phase = "ready"
        try:
            with lifecycle.leaving_at_sigterm(drain_delay):
                yield
        finally:
            lifecycle.phase = "draining"


@asynccontextmanager
async def _operated(
    life: AbstractAsyncContextManager[None],
    reloader: Reloader,
    guard: Guard,
    log: AccessLog | None,
    tracer: Tracer | None,
) -> AsyncIterator[None]:
    """Live, with files that may change; log and traces are whole in the end."""

    def look_again() -> None:
        if guard.keys is not None:
            guard.keys.reread()
        reloader.ask()

    try:
        async with life:
            try:
                with sighup.heard(look_again):
                    yield
            finally:
                if log is not None:  # at once: compute may take long to end
                    await log.close()
    finally:
        if tracer is not None:
            await asyncio.to_thread(tracer.close)
