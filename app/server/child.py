"""A worker as its parent sees it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from time import monotonic
from typing import final

from app.server.channel import Orders
from app.settings import Settings

_MODULE = "app.server.worker"


@final
class Child:
    """
    A worker process that is started.

    Attributes:
        n_uncounted: How many workers that died it counts when it has started.
        heard_at: When it last said that its event loop turns.
        is_started: Whether it serves.
        error: Why it could not start.
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
        self.orders = Orders(ours)
        self.orders.send_settings(settings)
        self.n_uncounted = n_uncounted
        self.heard_at = monotonic()
        self.is_started = False
        self.error: str | None = None

    def end(self) -> str:
        """Wait for its end, which is near, and return what it died of."""
        self.orders.close()
        status = self.process.wait()
        if status >= 0:
            return f"ended with status {status}"
        return f"was killed by {signal.Signals(-status).name}"
