"""Runs the application in this process."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import final

import uvicorn
from starlette.types import ASGIApp

from app.connection.config import ServerConfig
from app.connection.protocol import Connection
from app.lifecycle import Lifecycle
from app.observability.process_metrics import ProcessMetrics
from app.server.addresses import listen
from app.server.startup import STARTUP_FAILURE
from app.server.stop_signals import StopSignals
from app.server.watchdog import Watchdog
from app.settings import Settings

# By name, as on uvicorn's command line: no module imports the composition root.
_MODULE, _FACTORY = "app.main", "build"


@final
@dataclass(frozen=True, eq=False)
class Application:
    """
    The application, and what its server process needs from it.

    Attributes:
        start_lines: The lines that are printed at start.
        processes: Counters of process failures.
        lifecycle: The phase that it is in.
    """

    asgi: ASGIApp
    start_lines: list[str]
    processes: ProcessMetrics
    lifecycle: Lifecycle


@final
class Server(uvicorn.Server):
    """A uvicorn server with a watchdog, a callback at its start and a quiet end."""

    def __init__(
        self, config: ServerConfig, watchdog: Watchdog, on_started: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._watchdog = watchdog
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._watchdog.start()
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving; after a second SIGINT, without waiting for requests."""
        await super().shutdown(sockets)
        if self.force_exit:
            # Uvicorn would end the process with the application still running: its
            # lifespan would be cancelled, and logged as an error with a traceback.
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()


def serve(
    settings: Settings,
    sockets: Sequence[socket.socket],
    stop_signals: StopSignals,
    *,
    on_started: Callable[[Application], object],
    on_beat: Callable[[], object] = lambda: None,
) -> int:
    """
    Serve on bound sockets until a stop signal; return the exit status.

    Args:
        on_started: Called once requests are accepted.
        on_beat: Called every second in the event loop, as a heartbeat.

    Raises:
        StartError: The service cannot start.
    """
    application: Application = getattr(import_module(_MODULE), _FACTORY)(settings)
    listen(sockets)
    watchdog = Watchdog(on_beat, application.processes.count_stall)
    config = ServerConfig(application.asgi, settings, http=Connection)
    server = Server(config, watchdog, lambda: on_started(application))
    stop_signals.is_serving = lambda: server.started
    stop_signals.has_ended = lambda: application.lifecycle.has_ended
    server.run(list(sockets))
    watchdog.stop()
    return 0 if server.started else STARTUP_FAILURE
