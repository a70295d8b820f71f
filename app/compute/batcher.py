"""
The micro-batcher: computes rows of several requests in one batch.

There is no timer. A batch starts as soon as an iteration of the event loop brings no
more rows; while it runs, rows for the next one are collected. Batches are limited in
rows, not in requests. Long requests are computed piece by piece and leave half of each
batch to short ones, so a short request waits for at most one batch. There is a queue
per operation, and queues take turns. If a batch fails, only the request that caused the
failure gets an error.

A batch expected to take less than `INLINE_SECONDS` runs in the event loop, which avoids
switching threads; a longer one runs in the compute thread.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from operator import attrgetter
from time import perf_counter
from typing import NamedTuple, final

import numpy as np

from app.compute.threads import run_in_thread_if_large
from app.errors import OverloadedError, UnavailableError
from app.lifecycle import RETRY_AFTER_SECONDS
from app.observability import timing
from app.observability.batch import Batch
from model.engine import TILE, AnyArray, Array

logger = logging.getLogger(__name__)

INLINE_SECONDS = 0.002
STALLED_SECONDS = 30.0  # a batch should take 0.02 s
_BATCH_SECONDS = 0.02  # the target duration of a batch
_UNKNOWN_ROW_SECONDS = 0.001
_MAX_SHORT_ROWS = TILE // 2
_LAST_WEIGHT = 0.1  # weight of the last full batch in the running mean of a row's cost

_NBYTES, _SINCE = attrgetter("nbytes"), attrgetter("job.since")

RowFunction = Callable[..., Sequence[AnyArray]]
Outcome = Sequence[AnyArray] | Exception
Parts = list[Sequence[AnyArray]]


@final
class Job:
    """
    The rows of one request, and how many of them have been computed.

    Attributes:
        since: When it was queued; all times are by `time.perf_counter`.
        started: When the first batch with rows of it started; 0 until then.
        ended: When the last such batch so far ended; 0 until then.
        compute_seconds: The total duration of these batches.
    """

    __slots__ = (
        "arrays",
        "compute_seconds",
        "ended",
        "n_bytes",
        "n_done",
        "n_rows",
        "parts",
        "since",
        "started",
        "waiter",
    )

    def __init__(
        self, arrays: Sequence[AnyArray], waiter: "asyncio.Future[Parts]"
    ) -> None:
        self.arrays = arrays
        self.waiter = waiter
        self.n_rows = len(arrays[0])
        self.n_bytes = sum(map(_NBYTES, arrays))
        self.n_done = 0
        self.parts: Parts = []
        self.since = perf_counter()
        self.started = self.ended = self.compute_seconds = 0.0

    def deliver(self, outcome: Outcome) -> None:
        """Add rows of the result, or an exception; resolve the future when complete."""
        if self.waiter.done():
            return
        if isinstance(outcome, Exception):
            self.waiter.set_exception(outcome)
            return
        self.parts.append(outcome)
        if self.n_done == self.n_rows:
            self.waiter.set_result(self.parts)

    def note_timing(self) -> None:
        """Record queue and compute times for the request of the current task."""
        if not self.ended:  # cancelled
            self.ended = perf_counter()
            self.started = self.started or self.ended
            self.compute_seconds = self.ended - self.started
        timing.note(self.since, self.started, self.ended, self.compute_seconds)


class Piece(NamedTuple):
    """A range of rows of a job."""

    job: Job
    start: int
    stop: int

    def arrays(self) -> Sequence[AnyArray]:
        """Return the rows of the piece, from each array."""
        if self.stop - self.start == self.job.n_rows:
            return self.job.arrays
        return [array[self.start : self.stop] for array in self.job.arrays]


@final
class Queue:
    """
    The jobs of one operation.

    Attributes:
        row_seconds: A running mean of the compute time of a row in a full batch.
    """

    def __init__(self, operation: str, compute: RowFunction) -> None:
        self.operation = operation
        self.compute = compute
        self._price(_UNKNOWN_ROW_SECONDS)
        self._short: deque[Job] = deque()
        self._long: deque[Job] = deque()

    @property
    def has_jobs(self) -> bool:
        """Whether rows wait to be computed."""
        return bool(self._short or self._long)

    def add(self, job: Job) -> bool:
        """Queue a job; return whether there was none."""
        is_first = not self._short and not self._long
        (self._short if job.n_rows <= _MAX_SHORT_ROWS else self._long).append(job)
        return is_first

    def take(self) -> list[Piece]:
        """Take the next batch: short jobs first, up to half of it if long ones wait."""
        room = self._room
        pieces = _take_rows(self._short, -(-room // 2) if self._long else room)
        if self._long:
            n_rows = sum(piece.stop - piece.start for piece in pieces)
            pieces += _take_rows(self._long, room - n_rows)
        return pieces

    def drop(self) -> list[Job]:
        """Remove and return all jobs."""
        jobs = [*self._short, *self._long]
        self._short.clear()
        self._long.clear()
        return jobs

    def rehearse(self, *arrays: Array) -> None:
        """Compute rows twice to measure the cost of one; safe in any thread."""
        self.compute(*arrays)  # the first run is many times slower
        started = perf_counter()
        self.compute(*arrays)
        self._price((perf_counter() - started) / len(arrays[0]))

    def learn(self, n_rows: int, seconds: float) -> None:
        """
        Update the cost of a row from the duration of a batch.

        Short batches may only lower it: their overhead makes each row look expensive.
        """
        cost = seconds / n_rows
        if cost < self.row_seconds:
            self._price(cost)
        elif n_rows >= self._room:
            self._price(self.row_seconds + _LAST_WEIGHT * (cost - self.row_seconds))

    def _price(self, row_seconds: float) -> None:
        """Set the cost of a row, and the size of a full batch."""
        self.row_seconds = row_seconds
        self._room = max(1, min(TILE, int(_BATCH_SECONDS / row_seconds)))


def _take_rows(jobs: deque[Job], room: int) -> list[Piece]:
    """Take rows of the jobs; the rest of a job goes to the end of the queue."""
    pieces: list[Piece] = []
    while jobs and room > 0:
        job = jobs.popleft()
        if job.waiter.done():  # cancelled
            continue
        stop = min(job.n_done + room, job.n_rows)
        pieces.append(Piece(job, job.n_done, stop))
        room -= stop - job.n_done
        job.n_done = stop
        if stop < job.n_rows:  # the batch is full
            jobs.append(job)
    return pieces


class Capacity(NamedTuple):
    """The most rows, and bytes of rows, that are queued or being computed."""

    rows: int
    bytes: int


@final
class Batcher:
    """Computes batches of jobs, one batch at a time."""

    def __init__(self, on_batch: Callable[[Batch], object], capacity: Capacity) -> None:
        self._on_batch = on_batch
        self._capacity = capacity
        self._queues: dict[Hashable, Queue] = {}
        self._turns: deque[Queue] = deque()
        self._n_rows = self._n_bytes = 0  # queued or being computed
        self._busy = False
        self._n_new = 0
        self._n_jobs = 0  # since the batcher was last idle
        self._was_single = False  # whether that number was 1 the last time
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._in_thread: list[Piece] = []
        self._since = 0.0  # when the batch in the thread started

    def queue(self, key: Hashable, operation: str, compute: RowFunction) -> Queue:
        """Return the queue of a key; jobs of one key share batches."""
        found = self._queues.get(key)
        if found is None:
            found = self._queues[key] = Queue(operation, compute)
        return found

    def check_room(self) -> None:
        """
        Check that there is room for a row, before a request is read.

        Raises:
            OverloadedError: The capacity is used up.
            UnavailableError: The compute thread has stalled.
        """
        n_rows, n_bytes = self._n_rows, self._n_bytes
        if n_rows >= self._capacity.rows or n_bytes >= self._capacity.bytes:
            seconds = max(queue.row_seconds for queue in self._queues.values())
            raise self._overloaded(n_rows, n_bytes, seconds)
        if self._in_thread and not self.is_alive:
            raise _stalled_error()

    async def rows(self, queue: Queue, *arrays: Array) -> Sequence[AnyArray]:
        """
        Compute the queue's function of these rows.

        Raises:
            OverloadedError: The capacity is used up.
            UnavailableError: The compute thread has stalled.
            Exception: What the function raised for these rows.
        """
        loop = asyncio.get_running_loop()
        job = Job(arrays, loop.create_future())
        if self._busy:  # else no rows are queued or being computed
            self._check(job, queue)
        self._n_rows += job.n_rows
        self._n_bytes += job.n_bytes
        try:
            if queue.add(job):
                self._turns.append(queue)
            self._n_new += job.n_rows
            self._n_jobs += 1
            if not self._busy:
                self._busy = True
                self._begin(loop)
            parts = await job.waiter
            if len(parts) == 1:
                return parts[0]
            n_values = sum(array.size for part in parts for array in part)
            return await run_in_thread_if_large(n_values, _concatenate, parts)
        finally:
            self._n_rows -= job.n_rows
            self._n_bytes -= job.n_bytes
            job.note_timing()

    @property
    def stalled_seconds(self) -> float:
        """How long the batch in the compute thread has been running."""
        return perf_counter() - self._since if self._in_thread else 0.0

    @property
    def is_alive(self) -> bool:
        """Whether the batcher is open and its thread has not stalled."""
        return not self._closed and self.stalled_seconds < STALLED_SECONDS

    def close(self) -> None:
        """Finish the current batch, and stop the compute thread."""
        self._closed = True
        self._thread.shutdown(wait=self.stalled_seconds < STALLED_SECONDS)

    def _check(self, job: Job, queue: Queue) -> None:
        n_rows, n_bytes = self._n_rows + job.n_rows, self._n_bytes + job.n_bytes
        # A single request has limits of its own, and is always accepted.
        over = n_rows > self._capacity.rows or n_bytes > self._capacity.bytes
        if over and self._n_rows:
            raise self._overloaded(n_rows, n_bytes, queue.row_seconds)
        if self._in_thread and not self.is_alive:
            raise _stalled_error()

    def _overloaded(
        self, n_rows: int, n_bytes: int, row_seconds: float
    ) -> OverloadedError:
        return OverloadedError(
            f"expected at most {self._capacity.rows} rows and {self._capacity.bytes} "
            f"bytes at a time, got {n_rows} rows and {n_bytes} bytes; try again",
            retry_after_seconds=ceil(self._n_rows * row_seconds),
        )

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a batch; at once if requests come one at a time, as the last did."""
        if self._was_single:
            self._n_new = 0
            self._next(loop)
        else:
            loop.call_soon(self._gather, loop, 0)

    def _gather(self, loop: asyncio.AbstractEventLoop, n_seen: int) -> None:
        """
        Start a batch once an iteration of the loop brings no new rows, or a full tile.

        Otherwise requests that are just being read would miss the batch by
        microseconds. With 16 clients a batch so has 16 rows instead of seven, and a row
        in a batch costs a quarter of a single one.
        """
        if self._n_new == n_seen or self._n_new >= TILE:
            self._n_new = 0
            self._next(loop)
        else:
            loop.call_soon(self._gather, loop, self._n_new)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the batch of the next queue."""
        while self._turns:
            queue = self._turns.popleft()
            pieces = queue.take()
            if queue.has_jobs:
                self._turns.append(queue)
            if pieces:
                self._start(loop, queue, pieces)
                return
        self._was_single, self._n_jobs = self._n_jobs == 1, 0
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
            outcomes = compute_pieces(queue.compute, pieces)
            self._finish(loop, queue, pieces, n_rows, started, outcomes)
            return
        self._in_thread, self._since = pieces, started
        watchdog = loop.call_later(STALLED_SECONDS, self._fail_all)
        future = loop.run_in_executor(
            self._thread, compute_pieces, queue.compute, pieces
        )

        def finish(done: asyncio.Future[list[Outcome]]) -> None:
            watchdog.cancel()
            self._in_thread = []
            # `compute_pieces` lets a BaseException pass that is no Exception.
            error = done.exception()
            if error is None:
                outcomes = done.result()
            else:
                outcomes = [RuntimeError(f"compute failed: {error!r}")] * len(pieces)
            self._finish(loop, queue, pieces, n_rows, started, outcomes)

        future.add_done_callback(finish)

    def _fail_all(self) -> None:
        """Fail all jobs, because the compute thread has stalled."""
        logger.error("a batch has been running for %g s", STALLED_SECONDS)
        waiting = [job for queue in self._queues.values() for job in queue.drop()]
        for job in (*(piece.job for piece in self._in_thread), *waiting):
            job.deliver(_stalled_error())

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        queue: Queue,
        pieces: list[Piece],
        n_rows: int,
        started: float,
        outcomes: list[Outcome],
    ) -> None:
        """Deliver the results of a batch, and start the next."""
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
                n_rows=n_rows,
                queue_seconds=started - min(map(_SINCE, pieces)),
                compute_seconds=seconds,
            )
        )
        # Not at once: the event loop reads new requests between two batches.
        loop.call_soon(self._gather, loop, 0)


def _stalled_error() -> UnavailableError:
    return UnavailableError(
        "compute has stalled; try again", retry_after_seconds=RETRY_AFTER_SECONDS
    )


def compute_pieces(compute: RowFunction, pieces: Sequence[Piece]) -> list[Outcome]:
    """Return the result or the exception of each piece."""
    try:
        if len(pieces) == 1:
            return [compute(*pieces[0].arrays())]
        return _split(compute(*_join(pieces)), pieces)
    except Exception as error:  # noqa: BLE001  delivered to the request that caused it
        if len(pieces) == 1:
            return [error]
    # Bisect, so that only the piece that causes the failure fails.
    middle = len(pieces) // 2
    return [
        *compute_pieces(compute, pieces[:middle]),
        *compute_pieces(compute, pieces[middle:]),
    ]


def _join(pieces: Sequence[Piece]) -> Sequence[AnyArray]:
    return _concatenate([piece.arrays() for piece in pieces])


def _concatenate(parts: Parts) -> Sequence[AnyArray]:
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _split(results: Sequence[AnyArray], pieces: Sequence[Piece]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    start = 0
    for piece in pieces:
        stop = start + piece.stop - piece.start
        outcomes.append([result[start:stop] for result in results])
        start = stop
    return outcomes
