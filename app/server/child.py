"""A worker process, from the view of its parent."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from time import monotonic
from typing import final

from app.server.channel import ParentChannel
from app.settings import Settings

_MODULE = "app.server.worker"


@final
class Child:
    """
    A worker process.

    Attributes:
        n_uncounted: The number of dead workers that it adds to the metrics at start.
        last_report_at: When its last report, such as a heartbeat, came.
        is_started: Whether it serves requests.
        error: Why it could not start, if it reported that.
    """

    def __init__(
        self, settings: Settings, sockets: Sequence[socket.socket], n_uncounted: int
    ) -> None:
        ours, theirs = socket.socketpair()
        descriptors = [theirs.fileno(), *(bound.fileno() for bound in sockets)]
        arguments = map(str, (n_uncounted, *descriptors))
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  # this interpreter
                [sys.executable, "-P", "-m", _MODULE, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self.channel = ParentChannel(ours)
        self.channel.send_settings(settings)
        self.n_uncounted = n_uncounted
        self.last_report_at = monotonic()
        self.is_started = False
        self.error: str | None = None

    def end(self) -> str:
        """Wait for the process to exit, and describe how it did."""
        self.channel.close()
        status = self.process.wait()
        if status >= 0:
            return f"ended with status {status}"
        return f"was killed by {signal.Signals(-status).name}"
