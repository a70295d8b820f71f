"""
Ends a process at SIGTERM and SIGINT, whatever its event loop does.

Python runs a signal's handler in the main thread, between two of its instructions; a
main thread that is held up runs none. So both signals are blocked, a thread waits for
them and calls the handlers that the server has installed, which set flags. If the
process is still there when its time is over, the thread ends it.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Self, final

from app.observability.log import LogHandler
from app.settings import Settings

logger = logging.getLogger(__name__)

ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
FORCED = 1  # the exit status of a process that had to be ended
_GRACE_SECONDS = 5.0


@final
class Endings:
    """
    The ways in which this process may be asked to end.

    Args:
        patience: Seconds that a process asked to end may take, once it serves.
        log: Where an end by force is logged.
    """

    def __init__(self, patience: float, log: LogHandler) -> None:
        self._patience = patience + _GRACE_SECONDS
        self._log = log
        self.is_serving: Callable[[], bool] = lambda: False

    @classmethod
    def of(cls, settings: Settings, log: LogHandler) -> Self:
        """Return those of a service, with time for its drain."""
        return cls(settings.drain_delay + settings.drain_timeout, log)

    def listen(self) -> None:
        """Take both signals from now on; for the main thread, before others start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no KeyboardInterrupt in a thread
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def ask(self, number: int) -> None:
        """Have the process end as at a signal; in any thread."""
        handler = signal.getsignal(number)
        if not self.is_serving():
            os._exit(0)  # nothing has been taken yet
        if callable(handler):
            handler(number, None)
        timer = threading.Timer(self._patience, self._force)
        timer.daemon = True
        timer.start()

    def _wait(self) -> None:
        while True:
            self.ask(signal.sigwait(ENDING))

    def _force(self) -> None:
        logger.error("not at its end after %g s: ended by force", self._patience)
        self._log.output.flush()
        os._exit(FORCED)
