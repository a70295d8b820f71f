"""
Stops the process on SIGTERM and SIGINT, even if its event loop is blocked.

Python runs signal handlers in the main thread, between two bytecode instructions; while
the main thread is blocked in C code, none runs. So both signals are masked, and a
thread waits for them and calls the handlers that the server has installed, which set
flags. If the process still runs 5 s after its drain should have ended, a timer ends it.
That is a failure, unless all requests are answered and the process only waits for
threads whose results are not needed any more: on a busy machine that may take long.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Never, Self, final

from app.lifecycle import REFUSAL_SECONDS
from app.observability.log import LogHandler
from app.settings import Settings

logger = logging.getLogger(__name__)

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
FORCED = 1  # the exit status after a forced stop
_GRACE_SECONDS = 5.0


@final
class StopSignals:
    """
    Handles SIGTERM and SIGINT.

    Args:
        patience: Seconds that a serving process has to stop after a signal.
        log: Where a forced stop is logged.

    Attributes:
        is_serving: Whether requests are accepted, or have been.
        has_ended: Whether all of them are answered.
    """

    def __init__(self, patience: float, log: LogHandler) -> None:
        self._patience = patience + _GRACE_SECONDS
        self._log = log
        self.is_serving: Callable[[], bool] = lambda: False
        self.has_ended: Callable[[], bool] = lambda: False

    @classmethod
    def of(cls, settings: Settings, log: LogHandler) -> Self:
        """Return the handler for a service, with time for its drain."""
        seconds = settings.drain_delay + REFUSAL_SECONDS + settings.drain_timeout
        return cls(seconds, log)

    def listen(self) -> None:
        """Start handling both signals; call it before other threads start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no KeyboardInterrupt in a thread
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def stop(self, number: int) -> None:
        """Stop the process as if it received a signal; safe in any thread."""
        handler = signal.getsignal(number)
        if not self.is_serving():
            os._exit(0)  # no request has been accepted yet
        if callable(handler):
            handler(number, None)
        timer = threading.Timer(self._patience, self._force)
        timer.daemon = True
        timer.start()

    def _wait(self) -> None:
        while True:
            self.stop(signal.sigwait(STOP_SIGNALS))

    def _force(self) -> None:
        if self.has_ended():
            self._exit(0)
        logger.error("not stopped after %g s: ended by force", self._patience)
        self._exit(FORCED)

    def _exit(self, status: int) -> Never:
        self._log.output.flush()
        os._exit(status)
