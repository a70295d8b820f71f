"""
Serves in several processes on the same sockets; one that dies is replaced.

Each worker holds one end of a channel and the parent the other, so that neither can end
without the other seeing it. What a worker has to say comes over it too: that it serves,
that it cannot start, and, every second, that its event loop turns.
"""

import logging
import selectors
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import final

from prometheus_client.multiprocess import mark_process_dead

from app.observability.output import Output
from app.server import sighup
from app.server.addresses import lines
from app.server.channel import Report
from app.server.child import Child
from app.server.endings import ENDING, FORCED
from app.server.startup import STARTUP_FAILURE
from app.settings import Settings

logger = logging.getLogger(__name__)

SILENT_SECONDS = 60.0  # a worker that says nothing for so long is replaced
_RESTART_SECONDS = 1.0  # between two starts that fail
_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 10.0


@final
class Supervisor:
    """The parent of a service's workers."""

    def __init__(
        self, settings: Settings, sockets: Sequence[socket.socket], output: Output
    ) -> None:
        self._settings = settings
        self._sockets = sockets
        self._output = output
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._n_uncounted = 0  # workers that have died, and no metric says so
        self._start_at: list[float] = []  # when others are to take their places
        self._is_announced = False
        self._kill_at: float | None = None  # once it has been asked to end
        self._status = 0

    def run(self) -> int:
        """Serve until asked to end; return the exit status."""
        with _signals() as (wakeup, numbers), self._selector:
            self._selector.register(wakeup, selectors.EVENT_READ)
            for _ in range(self._settings.workers):
                self._start()
            looked_at = monotonic()
            while self._children or self._start_at:
                for key, _ in self._selector.select(_LOOK_SECONDS):
                    if key.data is None:
                        wakeup.recv(4096)
                    else:
                        self._hear(key.data)
                while numbers:
                    self._act(numbers.pop(0))
                before, looked_at = looked_at, monotonic()
                self._look_at_times(looked_at, is_late=looked_at - before > 5.0)
        return self._status

    def _start(self) -> None:
        with sighup.held():
            child = Child(self._settings, self._sockets, self._n_uncounted)
        self._children.append(child)
        self._selector.register(child.orders, selectors.EVENT_READ, child)

    def _act(self, number: int) -> None:
        """Pass on a signal."""
        if number == signal.SIGHUP:
            for child in self._children:
                child.process.send_signal(number)
            return
        self._end(number)

    def _end(self, number: int) -> None:
        """Have all workers end as at a signal."""
        if self._kill_at is None:
            drain = self._settings.drain_delay + self._settings.drain_timeout
            self._kill_at = monotonic() + drain + _GRACE_SECONDS
        self._start_at.clear()
        for bound in self._sockets:  # else what connects would wait where none accepts
            bound.close()
        for child in self._children:
            child.orders.send_signal(number)

    def _hear(self, child: Child) -> None:
        """Take what a worker has sent."""
        reports = child.orders.reports()
        if reports is None:
            self._bury(child)
            return
        child.heard_at = monotonic()
        for report in reports:
            if report.kind == "started":
                child.is_started = True
                self._n_uncounted -= child.n_uncounted
                self._announce(report)
            elif report.kind == "failed":
                child.error = report.lines[0]

    def _announce(self, report: Report) -> None:
        """Say once that all serve, and where."""
        ready = [child for child in self._children if child.is_started]
        if self._is_announced or len(ready) < self._settings.workers:
            return
        self._is_announced = True
        self._output.say(*report.lines, *lines(self._sockets))

    def _bury(self, child: Child) -> None:
        """Replace a worker that has ended, unless all are to end."""
        self._selector.unregister(child.orders)
        self._children.remove(child)
        fate = child.end()
        mark_process_dead(child.process.pid)  # type: ignore[no-untyped-call]  # untyped
        if self._kill_at is not None:
            if child.process.returncode and not self._status:
                self._status = FORCED
            return
        if not self._is_announced and not child.is_started:
            self._give_up(child.error or f"a worker {fate} before it served")
            return
        logger.warning("worker %d %s; another takes its place", child.process.pid, fate)
        self._n_uncounted += 1
        delay = 0.0 if child.is_started else _RESTART_SECONDS
        self._start_at.append(monotonic() + delay)

    def _give_up(self, error: str) -> None:
        """End a start that fails, with one line."""
        self._status = STARTUP_FAILURE
        sys.stderr.write(f"error: {error}\n")
        self._end(signal.SIGTERM)
        for child in self._children:
            child.process.kill()  # it has served nobody, or not for long

    def _look_at_times(self, now: float, *, is_late: bool) -> None:
        """Start and end what is due; `is_late` if this process was held up itself."""
        due = [at for at in self._start_at if at <= now]
        self._start_at = [at for at in self._start_at if at > now]
        for _ in due:
            self._start()
        for child in self._children:
            if is_late or not child.is_started:
                child.heard_at = now
            elif now - child.heard_at > SILENT_SECONDS:
                pid, seconds = child.process.pid, SILENT_SECONDS
                logger.warning("worker %d has hung for %g s: killed", pid, seconds)
                child.process.kill()
            if self._kill_at is not None and now > self._kill_at:
                child.process.kill()


@contextmanager
def _signals() -> Iterator[tuple[socket.socket, list[int]]]:
    """Have signals collected; a byte comes to a socket with each."""
    numbers: list[int] = []
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    for number in (*ENDING, signal.SIGHUP):
        signal.signal(number, lambda number, _: numbers.append(number))
    with reading, writing:
        yield reading, numbers
        signal.set_wakeup_fd(-1)
