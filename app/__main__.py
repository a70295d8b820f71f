"""`python -m app`: serve the model on the host and port of the settings."""

import logging
import os
import resource
import signal
import socket
import sys
import tempfile
from contextlib import suppress

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from app.connection.protocol import Connection
from app.environment import SettingsError
from app.server.config import Config
from app.server.startup import STARTUP_FAILURE, fail
from app.serving import sighup
from app.settings import Settings

_START_SECONDS = 300
_OTHER_OPEN_FILES = 256


def main() -> int:
    """Serve until a signal comes; return the exit status."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        fail(error)
    # uvicorn raises a signal again after a clean end; that end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    level = settings.log_level.upper()
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    _allow_open_files(settings.max_connections + _OTHER_OPEN_FILES)
    config = Config(settings, http=Connection)
    with suppress(KeyboardInterrupt):  # raised again by uvicorn after a clean end
        if settings.workers == 1:
            return _serve(config)
        return _supervise(config)
    return 0


class Server(uvicorn.Server):
    """A uvicorn server that says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                _announce(listening.getsockname())


class Supervisor(Multiprocess):
    """Starts workers, and says where they listen once all of them do."""

    def handle_hup(self) -> None:
        """Have every worker look at its files again; none is replaced."""
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        with sighup.held():
            super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]  # untyped

    def terminate_all(self) -> None:
        super().terminate_all()
        # Else what still connects would wait here, where nobody accepts, for workers
        # that finish what they have taken.
        for listening in self.sockets:
            listening.close()

    def init_processes(self) -> None:
        with sighup.held():
            super().init_processes()
        seconds = self.config.timeout_worker_healthcheck + _START_SECONDS
        if all(p.wait_until_ready(seconds, self.should_exit) for p in self.processes):
            _announce(self.sockets[0].getsockname())


def _allow_open_files(n_files: int) -> None:
    """Raise this process's own limit on open files, as far as it may itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_files if hard == resource.RLIM_INFINITY else min(n_files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _serve(config: uvicorn.Config) -> int:
    """Serve in this process."""
    sighup.hold()
    server = Server(config)
    server.run()
    return 0 if server.started else STARTUP_FAILURE


def _supervise(config: uvicorn.Config) -> int:
    """Serve in several processes on one socket; one that dies is replaced."""
    with (
        tempfile.TemporaryDirectory(prefix="vae-metrics-") as directory,
        config.bind_socket() as listening,
    ):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # the workers inherit it
        supervisor = Supervisor(config, [listening])
        supervisor.run()
    failed = any(p.exitcode == STARTUP_FAILURE for p in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


def _announce(address: tuple[str, int]) -> None:
    host, port = address[:2]
    sys.stdout.write(f"listening on http://{host}:{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
