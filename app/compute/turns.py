"""
Computes several pieces of work in threads, of which one at a time has the turn.

At a pause (see `model.inference.pauses`) a thread passes the turn on, if its time is
over and other work waits. So a piece of work that is begun need not end before another
one begins. Work waits in two queues, in order of arrival: in one until its first turn,
in the other for its next ones. Of two turns, one at least is for the second queue, so
that no work waits forever.

At most `max_begun` pieces are begun and not yet done, because they hold memory. This
module does not depend on what is computed.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock, Semaphore
from time import perf_counter
from typing import Any, Generic, TypeVar, final

from model.inference.pauses import pausing

_T = TypeVar("_T")


@final
class Stopwatch:
    """Measures when and how long the work of a request has had a turn, in seconds."""

    def __init__(self) -> None:
        self.queued = perf_counter()
        self.started: float | None = None
        self.ended: float | None = None
        self._since: float | None = None
        self._seconds = 0.0

    def start(self) -> None:
        """Begin a turn."""
        self._since = perf_counter()
        self.started = self.started or self._since

    def stop(self) -> None:
        """End a turn."""
        self.ended = perf_counter()
        self._seconds += self.turn
        self._since = None

    @property
    def turn(self) -> float:
        """The seconds of the current turn; 0 between turns."""
        since = self._since
        return 0.0 if since is None else perf_counter() - since

    @property
    def seconds(self) -> float:
        """The seconds of all turns, the current one included."""
        return self._seconds + self.turn


@final
@dataclass(frozen=True, eq=False)
class Work(Generic[_T]):
    """
    The work of a request, in pieces.

    Attributes:
        pieces: Those that are not begun; each is computed by one thread.
        results: Those of the pieces that are done.
        future: Will have all results.
        dropped: Set when the results are not wanted any more.
        turn: Released when a turn comes to a piece that is begun.
    """

    pieces: deque[Callable[[], _T]]
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    results: list[_T] = field(default_factory=list)
    future: Future[list[_T]] = field(default_factory=Future)
    dropped: Event = field(default_factory=Event)
    turn: Semaphore = field(default_factory=partial(Semaphore, 0))


@final
class Turns:
    """Gives the turn to one piece of work at a time."""

    def __init__(self, *, max_begun: int, seconds: float) -> None:
        """
        Start no thread yet.

        Args:
            seconds: How long a turn is; it ends at the first pause after that.
        """
        self._seconds = seconds
        self._max_begun = max_begun
        self._lock = Lock()  # guards what follows, and the states of all work
        self._is_taken = self._was_first = False
        self._begun: set[Work[Any]] = set()
        self._first: deque[Work[Any]] = deque()
        self._next: deque[Work[Any]] = deque()
        self._threads = ThreadPoolExecutor(max_begun, thread_name_prefix="analysis")

    def submit(self, work: Work[Any]) -> None:
        """Have work of at least one piece computed."""
        work.future.set_running_or_notify_cancel()  # only this object settles it
        with self._lock:
            self._first.append(work)
            self._give_turn()

    def drop(self, work: Work[Any]) -> None:
        """Drop work that is not wanted any more; a piece that is begun ends soon."""
        with self._lock:
            self._drop(work)

    def close(self) -> None:
        """End all work at its next pause, and stop the threads."""
        with self._lock:
            for work in [*self._first, *self._next, *self._begun]:
                self._drop(work)
        self._threads.shutdown(wait=True)

    def _drop(self, work: Work[Any]) -> None:
        work.dropped.set()
        for queue in (self._first, self._next):
            if work in queue and work not in self._begun:
                queue.remove(work)
                work.future.set_exception(CancelledError())

    def _give_turn(self) -> None:
        """Give the turn, if it is free, to the work that is next."""
        work = None if self._is_taken else self._choose()
        if work is None:
            return
        self._is_taken, self._was_first = True, work in self._first
        (self._first if self._was_first else self._next).remove(work)
        if work in self._begun:
            work.turn.release()
        else:
            self._begun.add(work)
            self._threads.submit(self._run, work)

    def _choose(self) -> Work[Any] | None:
        """Return the work that is next."""
        may_begin = len(self._begun) < self._max_begun
        ready = (work for work in self._next if may_begin or work in self._begun)
        following = next(ready, None)
        if self._first and may_begin and not (self._was_first and following):
            return self._first[0]
        return following

    def _release(self, work: Work[Any]) -> None:
        """End the turn of work, and give the turn to other work."""
        work.stopwatch.stop()
        self._is_taken = False
        self._give_turn()

    def _requeue(self, work: Work[Any]) -> None:
        """Have work wait for its next turn, after `_release`: others come first."""
        self._next.append(work)
        self._give_turn()

    def _run(self, work: Work[_T]) -> None:
        """Compute a piece in this thread, from its first turn to its last."""
        future, results = work.future, work.results
        work.stopwatch.start()
        try:
            with pausing(partial(self._pause, work)):
                results.append(work.pieces.popleft()())
        except BaseException as error:  # noqa: BLE001  raised where it is awaited
            self._end(work)
            del work  # a reference cycle, through the traceback, would keep its data
            future.set_exception(error)
        else:
            if self._continue(work):
                return
            if work.pieces:
                future.set_exception(CancelledError())
            else:
                future.set_result(results)

    def _end(self, work: Work[Any]) -> None:
        """End work, whose piece has failed."""
        with self._lock:
            self._begun.remove(work)
            self._release(work)

    def _continue(self, work: Work[Any]) -> bool:
        """End a piece; return whether the work waits for the turn of the next one."""
        with self._lock:
            self._begun.remove(work)
            waits = bool(work.pieces) and not work.dropped.is_set()
            self._release(work)
            if waits:
                self._requeue(work)
            return waits

    def _pause(self, work: Work[Any]) -> None:
        """
        Pass the turn on, if its time is over, and wait for the next one.

        Raises:
            CancelledError: The results are not wanted any more.
        """
        if work.stopwatch.turn >= self._seconds and not work.dropped.is_set():
            with self._lock:
                self._release(work)
                self._requeue(work)
            work.turn.acquire()
            work.stopwatch.start()
        if work.dropped.is_set():
            raise CancelledError
