"""Several worker processes on one socket; one that dies is replaced."""

import os
import signal
import tempfile
from typing import final

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from app.server.startup import STARTUP_FAILURE, announce
from app.serving import sighup

_START_SECONDS = 300


@final
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
            announce(self.sockets[0].getsockname())


def supervise(config: uvicorn.Config) -> int:
    """Serve until a signal comes; return the exit status."""
    with (
        tempfile.TemporaryDirectory(prefix="vae-metrics-") as directory,
        config.bind_socket() as listening,
    ):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # the workers inherit it
        supervisor = Supervisor(config, [listening])
        supervisor.run()
    failed = any(p.exitcode == STARTUP_FAILURE for p in supervisor.processes)
    return STARTUP_FAILURE if failed else 0
