"""Serves in this process, or in several workers, until a stop signal."""

import logging
import os
import sys

from app.configuration.environment import service_links
from app.configuration.machine import available_memory
from app.configuration.memory_limits import wanted_bytes
from app.observability import log
from app.observability.access_log import STANDARD_OUTPUT
from app.observability.output import Output
from app.server import metrics_directory, sighup
from app.server.addresses import bind, lines
from app.server.server import Application, serve
from app.server.startup import StartError, allow_open_files, fail
from app.server.stop_signals import StopSignals
from app.server.supervisor import Supervisor
from app.settings import Settings

logger = logging.getLogger(__name__)

_OTHER_OPEN_FILES = 256


def run(settings: Settings) -> int:
    """Serve until a stop signal; return the exit status."""
    handler, output = log.install(settings.log_level), Output(STANDARD_OUTPUT)
    allow_open_files(settings.max_connections + _OTHER_OPEN_FILES)
    _print_service_links()
    _warn_if_memory_is_short(settings)
    try:
        sockets = bind(settings.host, settings.port)
        if settings.workers > 1:
            with metrics_directory.create():
                return Supervisor(settings, sockets, output).run()
        sighup.block()
        stop_signals = StopSignals.of(settings, handler)
        stop_signals.listen()

        def started(application: Application) -> None:
            output.write_lines(*application.start_lines, *lines(sockets))

        return serve(settings, sockets, stop_signals, on_started=started)
    except StartError as error:
        fail(error)
    finally:
        output.flush()
        handler.output.flush()


def _warn_if_memory_is_short(settings: Settings) -> None:
    """Warn if the machine or the container has too little memory."""
    available = available_memory()
    wanted = wanted_bytes(settings.checkpoint, settings.workers)
    if available < wanted:
        logger.warning(
            "workers may be killed for lack of memory: %d need %d MiB, %d available",
            settings.workers,
            wanted >> 20,
            available >> 20,
        )


def _print_service_links() -> None:
    """Print which VAE_* variables are ignored because Kubernetes has set them."""
    links = service_links(os.environ)
    if links:
        names = ", ".join(links)
        sys.stderr.write(f"ignored variables of Kubernetes services: {names}\n")
