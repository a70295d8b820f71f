"""
The micro-batcher: rows that arrive together are computed together.

No timer: rows are computed as soon as a turn of the event loop brings no more of them;
while a batch runs, the next one gathers. Rows are counted, not requests. Long requests
take turns piece by piece and leave half of each batch to short ones, which so wait for
one batch at most. Queues, one per operation, take turns. A failure is the answer to the
request that caused it alone.

A batch expected to take less than `INLINE_SECONDS` runs in the event loop, where it
costs no hop between threads; a longer one runs in the one compute thread.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from time import perf_counter
from typing import NamedTuple, final

import numpy as np

from app.compute.queues import Job, Outcome, Piece, Queue, RowFunction
from app.errors import OverloadedError, UnavailableError
from app.lifecycle import RETRY_AFTER_SECONDS
from app.observability.batch import Batch
from model.engine import TILE, Array

logger = logging.getLogger(__name__)

INLINE_SECONDS = 0.002
STALLED_SECONDS = 30.0  # a batch is meant to take a fiftieth of a second


class Capacity(NamedTuple):
    """How much the batcher takes in hand: what is computed and what waits."""

    rows: int
    bytes: int


@final
class Batcher:
    """Runs row functions on batches of jobs, one batch at a time."""

    def __init__(
        self,
        on_batch: Callable[[Batch], object],
        capacity: Capacity,
        *,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        self._on_batch = on_batch
        self._capacity = capacity
        self._stalled_seconds = stalled_seconds
        self._queues: dict[Hashable, Queue] = {}
        self._turns: deque[Queue] = deque()
        self._n_rows = self._n_bytes = 0  # in hand
        self._busy = False
        self._n_new = 0
        self._n_jobs = 0  # since it was idle
        self._is_alone = False  # whether that was one, the last time
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._in_thread: list[Piece] = []
        self._since = 0.0  # when the batch in the thread was begun

    def queue(self, key: Hashable, operation: str, compute: RowFunction) -> Queue:
        """Return the queue of a key; jobs of one key share batches."""
        found = self._queues.get(key)
        if found is None:
            found = self._queues[key] = Queue(operation, compute)
        return found

    def check_room(self) -> None:
        """
        Check that a row may be taken, as what has no room need not be read.

        Raises:
            OverloadedError: All that may be in hand is.
            UnavailableError: The compute thread does not come back.
        """
        n_rows, n_bytes = self._n_rows, self._n_bytes
        if n_rows >= self._capacity.rows or n_bytes >= self._capacity.bytes:
            seconds = max(queue.row_seconds for queue in self._queues.values())
            raise self._overloaded(n_rows, n_bytes, seconds)
        if self._in_thread and not self.alive:
            raise _stalled()

    async def rows(self, queue: Queue, *arrays: Array) -> Sequence[Array]:
        """
        Return what the queue's function makes of these rows.

        Raises:
            OverloadedError: More is in hand than there is capacity for.
            UnavailableError: The compute thread does not come back.
            Exception: What the function raised for these rows.
        """
        loop = asyncio.get_running_loop()
        job = Job(arrays, loop.create_future())
        self._check(job, queue)
        self._n_rows += job.n_rows
        self._n_bytes += job.n_bytes
        try:
            if not queue.has_jobs:
                self._turns.append(queue)
            queue.add(job)
            self._n_new += job.n_rows
            self._n_jobs += 1
            if not self._busy:
                self._busy = True
                self._begin(loop)
            outcome: Sequence[Array] = await job.waiter
            return outcome
        finally:
            self._n_rows -= job.n_rows
            self._n_bytes -= job.n_bytes
            job.note_timing()

    @property
    def stalled_seconds(self) -> float:
        """How long the batch in the compute thread has been running."""
        return perf_counter() - self._since if self._in_thread else 0.0

    @property
    def alive(self) -> bool:
        """Whether batches are computed."""
        return not self._closed and self.stalled_seconds < self._stalled_seconds

    def close(self) -> None:
        """Finish the batch that is running and stop the compute thread."""
        self._closed = True
        self._thread.shutdown(wait=self.stalled_seconds < self._stalled_seconds)

    def _check(self, job: Job, queue: Queue) -> None:
        n_rows, n_bytes = self._n_rows + job.n_rows, self._n_bytes + job.n_bytes
        # One request alone is bounded elsewhere, and is always taken.
        over = n_rows > self._capacity.rows or n_bytes > self._capacity.bytes
        if over and self._n_rows:
            raise self._overloaded(n_rows, n_bytes, queue.row_seconds)
        if self._in_thread and not self.alive:
            raise _stalled()

    def _overloaded(
        self, n_rows: int, n_bytes: int, row_seconds: float
    ) -> OverloadedError:
        return OverloadedError(
            f"expected at most {self._capacity.rows} rows and {self._capacity.bytes} "
            f"bytes of them in hand, got {n_rows} rows and {n_bytes} bytes; ask again",
            retry_after_seconds=ceil(self._n_rows * row_seconds),
        )

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a batch, at once if its job is alone, as the one before was."""
        if self._is_alone:
            self._n_new = 0
            self._next(loop)
        else:
            loop.call_soon(self._gather, loop, 0)

    def _gather(self, loop: asyncio.AbstractEventLoop, n_seen: int) -> None:
        """
        Start a batch once a turn of the loop has brought no rows, or a tile of them.

        What is being read now would otherwise miss the batch by some microseconds. Of
        16 clients a batch then holds all 16 rows, where it held seven; and a row among
        many costs a quarter of a lone one.
        """
        if self._n_new == n_seen or self._n_new >= TILE:
            self._n_new = 0
            self._next(loop)
        else:
            loop.call_soon(self._gather, loop, self._n_new)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the batch whose turn it is."""
        while self._turns:
            queue = self._turns.popleft()
            pieces = queue.take()
            if queue.has_jobs:
                self._turns.append(queue)
            if pieces:
                self._start(loop, queue, pieces)
                return
        self._is_alone, self._n_jobs = self._n_jobs == 1, 0
        self._busy = False

    def _start(
        self, loop: asyncio.AbstractEventLoop, queue: Queue, pieces: list[Piece]
    ) -> None:
        started = perf_counter()
        n_rows = 0
        for job, start, stop in pieces:
            n_rows += stop - start
            job.started = job.started or started
        if n_rows * queue.row_seconds <= INLINE_SECONDS:
            outcomes = computed(queue.compute, pieces)
            self._finish(loop, queue, pieces, n_rows, started, outcomes)
            return
        self._in_thread, self._since = pieces, started
        watchdog = loop.call_later(self._stalled_seconds, self._give_up)
        future = loop.run_in_executor(self._thread, computed, queue.compute, pieces)

        def finish(done: asyncio.Future[list[Outcome]]) -> None:
            watchdog.cancel()
            self._in_thread = []
            end = done.exception()  # of the thread: what `computed` does not catch
            outcomes = done.result() if end is None else [_ended(end)] * len(pieces)
            self._finish(loop, queue, pieces, n_rows, started, outcomes)

        future.add_done_callback(finish)

    def _give_up(self) -> None:
        """Tell all that wait that the compute thread does not come back."""
        logger.error("a batch has been computed for %g s", self._stalled_seconds)
        waiting = [job for queue in self._queues.values() for job in queue.drop()]
        for job in (*(piece.job for piece in self._in_thread), *waiting):
            job.deliver(_stalled())

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        queue: Queue,
        pieces: list[Piece],
        n_rows: int,
        started: float,
        outcomes: list[Outcome],
    ) -> None:
        """Hand out what a batch came to and go on to the next."""
        ended = perf_counter()
        seconds = ended - started
        queue.learn(n_rows, seconds)
        for (job, _, _), outcome in zip(pieces, outcomes, strict=True):
            job.ended = ended
            job.compute_seconds += seconds
            job.deliver(outcome)
        self._on_batch(
            Batch(
                queue.operation,
                n_requests=len(pieces),
                n_rows=n_rows,
                queue_seconds=started - min(piece.job.since for piece in pieces),
                compute_seconds=seconds,
            )
        )
        # Not at once: between two batches the loop reads what has come.
        loop.call_soon(self._gather, loop, 0)


def _stalled() -> UnavailableError:
    return UnavailableError(
        "compute has stalled; ask again", retry_after_seconds=RETRY_AFTER_SECONDS
    )


def _ended(error: BaseException) -> Outcome:
    return RuntimeError(f"compute was ended by {error!r}")


def computed(compute: RowFunction, pieces: Sequence[Piece]) -> list[Outcome]:
    """Return for each piece its rows of the result, or its own failure."""
    try:
        return _split(compute(*_joined(pieces)), pieces)
    except Exception as error:  # noqa: BLE001  handed to the request it belongs to
        if len(pieces) == 1:
            return [error]
    # One of them is at fault: halve until it is alone.
    middle = len(pieces) // 2
    return [*computed(compute, pieces[:middle]), *computed(compute, pieces[middle:])]


def _joined(pieces: Sequence[Piece]) -> Sequence[Array]:
    if len(pieces) == 1:
        return pieces[0].arrays()
    columns = zip(*(piece.arrays() for piece in pieces), strict=True)
    return [np.concatenate(column) for column in columns]


def _split(results: Sequence[Array], pieces: Sequence[Piece]) -> list[Outcome]:
    if len(pieces) == 1:
        return [results]
    outcomes: list[Outcome] = []
    start = 0
    for piece in pieces:
        stop = start + piece.stop - piece.start
        outcomes.append([result[start:stop] for result in results])
        start = stop
    return outcomes
