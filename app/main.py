"""The composition root: settings in, the whole service out. Nothing imports it."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.calls import table
from app.configuration.environment import SettingsError
from app.lifecycle import Lifecycle
from app.middleware.access import Guard
from app.middleware.framework import framework
from app.middleware.pipeline import Pipeline
from app.observability import log as operator_log
from app.observability import tracing
from app.observability.access_log import STANDARD_OUTPUT, AccessLog
from app.observability.metrics import Metrics
from app.observability.output import Output
from app.observability.tracing import Tracer
from app.server import sighup, start_lines
from app.server.server import Application
from app.server.startup import StartError, fail, keep_freed_memory, switch_threads_soon
from app.serving.loaded_model import Current
from app.serving.loader import Loader
from app.serving.reload import Reloader
from app.settings import Settings
from model.checkpoint import CheckpointError
from model.engine import EngineError


def create_app(settings: Settings, tracer: Tracer | None = None) -> Pipeline:
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
    calls = table.calls(settings)
    loader = Loader(calls, settings, lifecycle, metrics)
    current = Current(loader.load())
    metrics.describe(**current.loaded.labels)
    reloader = Reloader(
        loader,
        current,
        metrics,
        settings.checkpoint,
        watch_seconds=settings.watch_seconds,
    )
    lifespan = partial(
        _lifespan, lifecycle, reloader, guard, log, tracer, settings.drain_delay
    )
    return Pipeline(
        framework(calls, settings, lifespan),
        current,
        metrics,
        lifecycle,
        timeout=settings.request_timeout,
        guard=guard if guard.is_needed else None,
        log=log,
        tracer=tracer,
    )


def from_environment() -> ASGIApp:
    """Build the service from VAE_* variables, or end with one line and status 3."""
    try:
        return build(Settings.from_environment(os.environ)).asgi
    except (SettingsError, StartError) as error:
        fail(error)


def build(settings: Settings) -> Application:
    """
    Build the service in a process of its own.

    Raises:
        StartError: It cannot be served.
    """
    keep_freed_memory()
    switch_threads_soon()
    try:
        app = create_app(settings, tracing.from_environment(os.environ))
    except (SettingsError, CheckpointError, EngineError) as error:
        raise StartError(str(error)) from error
    lines = start_lines.about(app.current.loaded, settings)
    return Application(app, lines, app.metrics.processes)


def _access_log(metrics: Metrics) -> AccessLog:
    output = Output(STANDARD_OUTPUT)
    output.on_drop = partial(metrics.processes.count_dropped, "access")
    return AccessLog(output)


@asynccontextmanager
async def _lifespan(
    lifecycle: Lifecycle,
    reloader: Reloader,
    guard: Guard,
    log: AccessLog | None,
    tracer: Tracer | None,
    drain_delay: float,
    _: FastAPI,
) -> AsyncIterator[None]:
    """Serve, with files that may change; log and traces are complete at the end."""

    def reread_files() -> None:
        if guard.keys is not None:
            guard.keys.reread()
        reloader.ask()

    # What is loaded stays: no collection need look through it again. A loaded model,
    # which may go, has no cycles once it is closed.
    gc.freeze()
    try:
        async with reloader.reloading():
            try:
                with sighup.heard(reread_files):
                    lifecycle.phase = "ready"
                    try:
                        with lifecycle.leaving_at_sigterm(drain_delay):
                            yield
                    finally:
                        lifecycle.phase = "draining"
            finally:
                if log is not None:  # at once: compute may take long to end
                    await log.close()
    finally:
        if tracer is not None:
            await asyncio.to_thread(tracer.close)
