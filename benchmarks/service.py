"""Our service on a free port, which can be started and stopped repeatedly."""

import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import final
from urllib.error import URLError

from benchmarks.processes import Process, cpu_seconds
from benchmarks.servers import ask
from benchmarks.workload import Request

_START_SECONDS = 120.0


@final
class Service:
    """The service on one port, started and ended as often as need be."""

    def __init__(
        self,
        model: Path,
        folder: Path,
        *,
        core: int,
        first: Request,
        module: str = "app",
        environment: Mapping[str, str] = MappingProxyType({}),
        is_log_read: bool = True,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.model = model
        self._log = folder / f"{self.port}.log"
        self._unread: int | None = None if is_log_read else _unread_pipe(self._log)
        self._core, self._first = core, first
        self._command = [sys.executable, "-m", module]
        self._environment = {
            "VAE_CHECKPOINT": str(model),
            "VAE_PORT": str(self.port),
            "VAE_THREADS": "1",
            "VAE_LOG_LEVEL": "error",
            **environment,
        }

    def start(self) -> None:
        """Start it; return once it answers."""
        self.process = Process(
            self._command,
            core=self._core,
            environment=self._environment,
            log=self._log,
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.process.check_runs()
            try:
                self._first.check(ask(self.port, self._first))
                return
            except (URLError, ConnectionError) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no answer: {error}{self.process}") from error
                time.sleep(0.1)

    def end(self) -> None:
        """End it."""
        self.process.end()
        if self._unread is not None:
            os.close(self._unread)

    def busiest_worker(self) -> int:
        """
        Return the id of the worker that has had most of the processor.

        Connections are not spread evenly: another one may have none.
        """
        of = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        workers = [
            pid
            for pid in map(int, of.read_text().split())
            if b"app.server.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return max(workers, key=cpu_seconds)


def _unread_pipe(path: Path) -> int:
    """Make a pipe at a path, and hold its end that is read, without ever reading."""
    os.mkfifo(path)
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
