"""`python -m app` with several workers, in a warm start: its workers start so too."""

import runpy
import subprocess
from socket import socket

from tests.warm_start import WarmPopen, fork_server


class WarmWorker(WarmPopen):
    """A worker, forked from a copy of its parent."""

    connection: socket

    def server(self) -> socket:
        return self.connection


if __name__ == "__main__":
    # While there is no thread, and no module that workers are to import themselves.
    WarmWorker.connection = fork_server()
    subprocess.Popen = WarmWorker  # type: ignore[assignment,misc]  # for workers
    runpy.run_module("app", run_name="__main__", alter_sys=True)
