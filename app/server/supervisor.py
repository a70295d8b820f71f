"""
Runs several worker processes on the same sockets; a worker that dies is replaced.

The parent and each worker share a channel (`app.server.channel`), so that neither can
exit unnoticed by the other. Workers report over it that they have started or failed to
start, and send a heartbeat of their event loop every second.
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
from app.server.startup import STARTUP_FAILURE
from app.server.stop_signals import FORCED, STOP_SIGNALS
from app.settings import Settings

logger = logging.getLogger(__name__)

SILENT_SECONDS = 60.0  # a worker that sends no report for so long is replaced
_RESTART_SECONDS = 1.0  # between two failed starts
_CHECK_INTERVAL_SECONDS = 0.5
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
        self._n_uncounted = 0  # dead workers that no metric counts yet
        self._start_at: list[float] = []  # when replacements are to be started
        self._is_announced = False
        self._kill_at: float | None = None  # set once the service is stopping
        self._status = 0

    def run(self) -> int:
        """Serve until a stop signal; return the exit status."""
        with _signals() as (wakeup, numbers), self._selector:
            self._selector.register(wakeup, selectors.EVENT_READ)
            for _ in range(self._settings.workers):
                self._start()
            checked_at = monotonic()
            while self._children or self._start_at:
                for key, _ in self._selector.select(_CHECK_INTERVAL_SECONDS):
                    if key.data is None:
                        wakeup.recv(4096)
                    else:
                        self._receive(key.data)
                while numbers:
                    self._handle_signal(numbers.pop(0))
                before, checked_at = checked_at, monotonic()
                self._check_timers(checked_at, is_late=checked_at - before > 5.0)
        return self._status

    def _start(self) -> None:
        with sighup.blocked():
            child = Child(self._settings, self._sockets, self._n_uncounted)
        self._children.append(child)
        self._selector.register(child.channel, selectors.EVENT_READ, child)

    def _handle_signal(self, number: int) -> None:
        """Pass a signal on to the workers."""
        if number == signal.SIGHUP:
            for child in self._children:
                child.process.send_signal(number)
            return
        self._stop_all(number)

    def _stop_all(self, number: int) -> None:
        """Have all workers stop as if they received a signal."""
        if self._kill_at is None:
            drain = self._settings.drain_delay + self._settings.drain_timeout
            self._kill_at = monotonic() + drain + _GRACE_SECONDS
        self._start_at.clear()
        for bound in self._sockets:  # else new connections would queue, never accepted
            bound.close()
        for child in self._children:
            child.channel.send_signal(number)

    def _receive(self, child: Child) -> None:
        """Handle the reports of a worker, or its exit."""
        reports = child.channel.reports()
        if reports is None:
            self._replace(child)
            return
        child.last_report_at = monotonic()
        for report in reports:
            if report.kind == "started":
                child.is_started = True
                self._n_uncounted -= child.n_uncounted
                self._announce(report)
            elif report.kind == "failed":
                child.error = report.lines[0]

    def _announce(self, report: Report) -> None:
        """Print the start lines, once all workers have started."""
        ready = [child for child in self._children if child.is_started]
        if self._is_announced or len(ready) < self._settings.workers:
            return
        self._is_announced = True
        self._output.write_lines(*report.lines, *lines(self._sockets))

    def _replace(self, child: Child) -> None:
        """Replace a worker that has exited, unless the service is stopping."""
        self._selector.unregister(child.channel)
        self._children.remove(child)
        reason = child.end()
        mark_process_dead(child.process.pid)  # type: ignore[no-untyped-call]  # untyped
        if self._kill_at is not None:
            if child.process.returncode and not self._status:
                self._status = FORCED
            return
        if not self._is_announced and not child.is_started:
            self._fail(child.error or f"a worker {reason} before it served")
            return
        logger.warning("worker %d %s; starting another", child.process.pid, reason)
        self._n_uncounted += 1
        delay = 0.0 if child.is_started else _RESTART_SECONDS
        self._start_at.append(monotonic() + delay)

    def _fail(self, error: str) -> None:
        """Stop a failed start, with one line on stderr."""
        self._status = STARTUP_FAILURE
        sys.stderr.write(f"error: {error}\n")
        self._stop_all(signal.SIGTERM)
        for child in self._children:
            child.process.kill()  # no drain: it has served few requests, if any

    def _check_timers(self, now: float, *, is_late: bool) -> None:
        """Start and kill workers as due; `is_late` if this process was suspended."""
        due = [at for at in self._start_at if at <= now]
        self._start_at = [at for at in self._start_at if at > now]
        for _ in due:
            self._start()
        for child in self._children:
            if is_late or not child.is_started:
                child.last_report_at = now
            elif now - child.last_report_at > SILENT_SECONDS:
                pid, seconds = child.process.pid, SILENT_SECONDS
                logger.warning(
                    "worker %d did not respond for %g s: killed", pid, seconds
                )
                child.process.kill()
            if self._kill_at is not None and now > self._kill_at:
                child.process.kill()


@contextmanager
def _signals() -> Iterator[tuple[socket.socket, list[int]]]:
    """Collect signals in a list; each also writes a byte to the returned socket."""
    numbers: list[int] = []
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    for number in (*STOP_SIGNALS, signal.SIGHUP):
        signal.signal(number, lambda number, _: numbers.append(number))
    with reading, writing:
        yield reading, numbers
        signal.set_wakeup_fd(-1)
