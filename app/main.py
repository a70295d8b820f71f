"""The composition root: builds the whole service from settings. Nothing imports it."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.calls import table
from app.configuration.environment import SettingsError
from app.lifecycle import Lifecycle
from app.middleware.access import AccessCheck
from app.middleware.framework import framework
from app.middleware.pipeline import Pipeline
from app.observability import log as operator_log
from app.observability import tracing
from app.observability.access_log import STANDARD_OUTPUT, AccessLog
from app.observability.metrics import Metrics
from app.observability.output import Output
from app.observability.tracing import Tracer
from app.open_inference import routes as open_inference
from app.server import sighup, start_lines
from app.server.checkpoint_copy import with_checkpoint_here
from app.server.server import Application
from app.server.startup import StartError, fail, keep_freed_memory, switch_threads_soon
from app.serving.loaded_model import Current
from app.serving.loader import Loader
from app.serving.origin import CheckpointOrigin
from app.serving.reload import Reloader
from app.settings import Settings
from model.checkpoint import CheckpointError
from model.engine import EngineError
from model.machine import available_memory


def create_app(settings: Settings, tracer: Tracer | None = None) -> Pipeline:
    """
    Load the checkpoint and build the service around it.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, or does not reproduce the
            scores that training recorded.
        EngineError: The device or the backend is not available.
        SettingsError: The file of access keys cannot be used.
    """
    access, lifecycle = AccessCheck(settings), Lifecycle()
    metrics = Metrics(n_workers=settings.workers)
    log = _access_log(metrics) if settings.access_log else None
    operator_log.count_dropped(partial(metrics.processes.count_dropped, "log"))
    calls = (*table.calls(settings), *open_inference.CALLS)
    loader = Loader(calls, settings, lifecycle, metrics)
    current = Current(loader.load())
    metrics.describe(**current.loaded.labels)
    reloader = Reloader(
        loader,
        current,
        metrics,
        CheckpointOrigin(settings),
        watch_seconds=settings.watch_seconds,
    )
    lifespan = partial(
        _lifespan, lifecycle, reloader, access, log, tracer, settings.drain_delay
    )
    return Pipeline(
        framework(calls, settings, lifespan),
        current,
        metrics,
        lifecycle,
        settings=settings,
        access=access,
        log=log,
        tracer=tracer,
    )


def from_environment() -> ASGIApp:
    """Build the service from VAE_* variables, or exit with one line and status 3."""
    try:
        settings = with_checkpoint_here(Settings.from_environment(os.environ))
        return build(settings).asgi
    except (SettingsError, StartError) as error:
        fail(error)


def build(settings: Settings) -> Application:
    """
    Build the service in a process that serves nothing else.

    Raises:
        StartError: The service cannot start.
    """
    keep_freed_memory(available_memory())
    switch_threads_soon()
    try:
        app = create_app(settings, tracing.from_environment(os.environ))
    except (SettingsError, CheckpointError, EngineError) as error:
        raise StartError(str(error)) from error
    lines = start_lines.about(app.current.loaded, settings)
    return Application(app, lines, app.metrics.processes, app.lifecycle)


def _access_log(metrics: Metrics) -> AccessLog:
    output = Output(STANDARD_OUTPUT)
    output.on_drop = partial(metrics.processes.count_dropped, "access")
    return AccessLog(output)


@asynccontextmanager
async def _lifespan(
    lifecycle: Lifecycle,
    reloader: Reloader,
    access: AccessCheck,
    log: AccessLog | None,
    tracer: Tracer | None,
    drain_delay: float,
    _: FastAPI,
) -> AsyncIterator[None]:
    """Run the service: reload on SIGHUP, drain on SIGTERM, flush log and traces."""

    def reread_files() -> None:
        if access.keys is not None:
            access.keys.reread()
        reloader.request()

    # Loaded objects stay, so garbage collections can skip them. A model that is
    # replaced has no reference cycles after it is closed, and needs no collection.
    gc.freeze()
    async with AsyncExitStack() as at_end:  # runs in the opposite order
        if tracer is not None:
            at_end.push_async_callback(asyncio.to_thread, tracer.close)
        await at_end.enter_async_context(reloader.reloading())
        at_end.callback(lifecycle.enter, "ended")
        if log is not None:  # before the model, because closing that may take long
            at_end.push_async_callback(log.close)
        at_end.enter_context(sighup.on_sighup(reread_files))
        lifecycle.enter("ready")
        at_end.callback(lifecycle.enter, "draining")
        at_end.enter_context(lifecycle.drain_on_sigterm(drain_delay))
        yield
