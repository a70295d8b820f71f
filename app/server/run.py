"""Serves in this process, or in several, until a signal comes."""

import logging
import signal
import socket
import sys
from contextlib import suppress
from typing import final

import uvicorn

from app.connection.protocol import Connection
from app.observability.tracebacks import Formatter
from app.server.config import Config
from app.server.startup import STARTUP_FAILURE, allow_open_files, announce
from app.server.supervisor import supervise
from app.serving import sighup
from app.settings import Settings

_OTHER_OPEN_FILES = 256


def run(settings: Settings) -> int:
    """Serve until a signal comes; return the exit status."""
    # uvicorn raises a signal again after a clean end; that end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    level = settings.log_level.upper()
    lines = logging.StreamHandler()
    lines.setFormatter(Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[lines])
    allow_open_files(settings.max_connections + _OTHER_OPEN_FILES)
    config = Config(settings, http=Connection)
    with suppress(KeyboardInterrupt):  # raised again by uvicorn after a clean end
        if settings.workers == 1:
            return _serve(config)
        return supervise(config)
    return 0


@final
class Server(uvicorn.Server):
    """A uvicorn server that says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                announce(listening.getsockname())


def _serve(config: uvicorn.Config) -> int:
    """Serve in this process."""
    sighup.hold()
    server = Server(config)
    server.run()
    return 0 if server.started else STARTUP_FAILURE
