"""Serves the application in this process."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import final

import uvicorn
from starlette.types import ASGIApp

from app.connection.config import Config
from app.connection.protocol import Connection
from app.observability.process_metrics import ProcessMetrics
from app.server.addresses import listen
from app.server.endings import Endings
from app.server.startup import STARTUP_FAILURE
from app.server.watchdog import Watchdog
from app.settings import Settings

# By name, as on a command line: nothing imports the composition root.
_MODULE, _FACTORY = "app.main", "build"


@final
@dataclass(frozen=True, eq=False)
class Application:
    """
    The application, and what the process that serves it has to know of it.

    Attributes:
        start_lines: What it says when it starts.
        processes: Where failures of processes are counted.
    """

    asgi: ASGIApp
    start_lines: list[str]
    processes: ProcessMetrics


@final
class Server(uvicorn.Server):
    """A uvicorn server that is watched, and says when it has started."""

    def __init__(
        self, config: Config, watchdog: Watchdog, on_started: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._watchdog = watchdog
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._watchdog.start()
            self._on_started()


def serve(
    settings: Settings,
    sockets: Sequence[socket.socket],
    endings: Endings,
    *,
    on_started: Callable[[Application], object],
    on_beat: Callable[[], object] = lambda: None,
) -> int:
    """
    Serve on bound sockets until asked to end; return the exit status.

    Args:
        on_started: Called once requests are taken.
        on_beat: Called every second in the event loop, as long as it turns.

    Raises:
        StartError: The service cannot start.
    """
    application: Application = getattr(import_module(_MODULE), _FACTORY)(settings)
    listen(sockets)
    watchdog = Watchdog(on_beat, application.processes.count_stall)
    config = Config(application.asgi, settings, http=Connection)
    server = Server(config, watchdog, lambda: on_started(application))
    endings.is_serving = lambda: server.started
    server.run(list(sockets))
    watchdog.stop()
    return 0 if server.started else STARTUP_FAILURE
