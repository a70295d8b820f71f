"""Serves in this process, or in several workers, until a stop signal."""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from app.configuration.environment import service_links
from app.configuration.memory_limits import wanted_bytes
from app.observability import log
from app.observability.access_log import STANDARD_OUTPUT
from app.observability.log import LogHandler
from app.observability.output import Output
from app.server import metrics_directory, sighup
from app.server.addresses import bind, bind_unix, lines
from app.server.checkpoint_copy import with_checkpoint_here
from app.server.server import Application, serve
from app.server.startup import StartError, allow_open_files, fail
from app.server.stop_signals import StopSignals
from app.server.supervisor import Supervisor
from app.settings import Settings
from model.machine import available_memory

logger = logging.getLogger(__name__)

_OTHER_OPEN_FILES = 256


def run(settings: Settings) -> int:
    """Serve until a stop signal; return the exit status."""
    handler, output = log.install(settings.log_level), Output(STANDARD_OUTPUT)
    allow_open_files(settings.max_connections + _OTHER_OPEN_FILES)
    _print_service_links()
    try:
        settings = with_checkpoint_here(settings)
        _warn_if_memory_is_short(settings)
        with _bind(settings) as sockets:
            if settings.workers > 1:
                with metrics_directory.create(settings.workers):
                    return Supervisor(settings, sockets, output).run()
            return _run_alone(settings, sockets, handler, output)
    except StartError as error:
        fail(error)
    finally:
        output.flush()
        handler.output.flush()


def _run_alone(
    settings: Settings,
    sockets: Sequence[socket.socket],
    handler: LogHandler,
    output: Output,
) -> int:
    """Serve in this process."""
    sighup.block()
    stop_signals = StopSignals.of(settings, handler)
    stop_signals.listen()

    def started(application: Application) -> None:
        output.write_lines(*application.start_lines, *lines(sockets))

    return serve(settings, sockets, stop_signals, on_started=started)


@contextmanager
def _bind(settings: Settings) -> Iterator[list[socket.socket]]:
    """
    Bind the sockets to serve on; remove the file of a Unix socket at the end.

    Raises:
        StartError: The address or the path cannot be used.
    """
    if settings.uds is None:
        yield bind(settings.host, settings.port)
        return
    bound = bind_unix(settings.uds)
    inode = settings.uds.stat().st_ino
    try:
        yield [bound]
    finally:
        with suppress(OSError):  # another service may have replaced it
            if settings.uds.stat().st_ino == inode:
                settings.uds.unlink()


def _warn_if_memory_is_short(settings: Settings) -> None:
    """Warn if the machine or the container has too little memory."""
    available = available_memory()
    wanted = wanted_bytes(settings.checkpoint_directory, settings.workers)
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
