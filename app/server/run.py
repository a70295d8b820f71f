"""Serves in this process, or in several, until a signal comes."""

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
from app.server.endings import Endings
from app.server.server import Application, serve
from app.server.startup import StartError, allow_open_files, fail
from app.server.supervisor import Supervisor
from app.settings import Settings

logger = logging.getLogger(__name__)

_OTHER_OPEN_FILES = 256


def run(settings: Settings) -> int:
    """Serve until asked to end; return the exit status."""
    handler, output = log.install(settings.log_level), Output(STANDARD_OUTPUT)
    allow_open_files(settings.max_connections + _OTHER_OPEN_FILES)
    _mention_service_links()
    _mention_short_memory(settings)
    try:
        sockets = bind(settings.host, settings.port)
        if settings.workers > 1:
            with metrics_directory.created():
                return Supervisor(settings, sockets, output).run()
        sighup.hold()
        endings = Endings.of(settings, handler)
        endings.listen()

        def started(application: Application) -> None:
            output.say(*application.start_lines, *lines(sockets))

        return serve(settings, sockets, endings, on_started=started)
    except StartError as error:
        fail(error)
    finally:
        output.flush()
        handler.output.flush()


def _mention_short_memory(settings: Settings) -> None:
    """Warn of a machine or a container that is too small."""
    there = available_memory()
    wanted = wanted_bytes(settings.checkpoint, settings.workers)
    if there < wanted:
        logger.warning(
            "workers may be killed for lack of memory: %d need %d MiB, there are %d",
            settings.workers,
            wanted >> 20,
            there >> 20,
        )


def _mention_service_links() -> None:
    """Say which variables are none of this service's settings."""
    links = service_links(os.environ)
    if links:
        names = ", ".join(links)
        sys.stderr.write(f"variables of Kubernetes services, not settings: {names}\n")
