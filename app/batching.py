"""
The micro-batcher: rows that arrive together are computed together.

No timer: rows are computed as soon as a turn of the event loop brings no more of them;
while a batch runs, the next one gathers. Rows are counted, not requests. A request
longer than a batch goes to the end of its queue after each piece, so that short ones
pass it. Queues, one per operation, take turns. A failure is the answer to the request
that caused it alone.

A batch expected to take less than `INLINE_SECONDS` runs in the event loop, where it
costs no hop between threads; a longer one runs in the one compute thread.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import NamedTuple, final

import numpy as np

from app.engine import TILE, Array

INLINE_SECONDS = 0.002
_BATCH_SECONDS = 0.02  # how long a short request may have to wait for a batch
_UNKNOWN_ROW_SECONDS = 0.001
_NEWS = 0.1  # share of the last full batch in the running mean of a row's cost

RowFunction = Callable[..., Sequence[Array]]


class Batch(NamedTuple):
    """What the metrics learn of a batch."""

    operation: str
    n_requests: int
    n_rows: int
    queue_seconds: float
    compute_seconds: float


@final
class Job:
    """The rows of one request, and how many of them are computed."""

    __slots__ = ("arrays", "n_done", "n_rows", "parts", "since", "waiter")

    def __init__(
        self, arrays: Sequence[Array], waiter: asyncio.Future[Sequence[Array]]
    ) -> None:
        self.arrays = arrays
        self.waiter = waiter
        self.n_rows = len(arrays[0])
        self.n_done = 0
        self.parts: list[Sequence[Array]] = []
        self.since = perf_counter()


class Piece(NamedTuple):
    """Some rows of a job."""

    job: Job
    start: int
    stop: int

    def arrays(self) -> Sequence[Array]:
        """Return these rows of each array."""
        if self.stop - self.start == self.job.n_rows:
            return self.job.arrays
        return [array[self.start : self.stop] for array in self.job.arrays]


Outcome = Sequence[Array] | Exception


@final
class Queue:
    """
    The jobs of one operation.

    Attributes:
        row_seconds: A running mean of what a row costs in a full batch.
    """

    def __init__(self, operation: str, compute: RowFunction) -> None:
        self.operation = operation
        self.compute = compute
        self.jobs: deque[Job] = deque()
        self.row_seconds = _UNKNOWN_ROW_SECONDS

    def take(self) -> list[Piece]:
        """Take the next batch; what is left of a long job goes to the end."""
        room = self._room()
        pieces: list[Piece] = []
        while self.jobs and room > 0:
            job = self.jobs.popleft()
            if job.waiter.done():  # its client has gone
                continue
            stop = min(job.n_done + room, job.n_rows)
            pieces.append(Piece(job, job.n_done, stop))
            room -= stop - job.n_done
            job.n_done = stop
        # Behind the batch, not in the loop: a batch holds one piece of a job.
        self.jobs.extend(p.job for p in pieces if p.stop < p.job.n_rows)
        return pieces

    def learn(self, n_rows: int, seconds: float) -> None:
        """
        Note what a batch cost.

        Overheads make rows of a short batch seem dear: it may only lower the cost.
        """
        cost = seconds / n_rows
        if cost < self.row_seconds:
            self.row_seconds = cost
        elif n_rows >= self._room():
            self.row_seconds += _NEWS * (cost - self.row_seconds)

    def _room(self) -> int:
        return max(1, min(TILE, int(_BATCH_SECONDS / self.row_seconds)))


@final
class Batcher:
    """Runs row functions on batches of jobs, one batch at a time."""

    def __init__(self, on_batch: Callable[[Batch], object]) -> None:
        self._on_batch = on_batch
        self._queues: dict[Hashable, Queue] = {}
        self._turns: deque[Queue] = deque()
        self._busy = False
        self._n_new = 0
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")

    def queue(self, key: Hashable, operation: str, compute: RowFunction) -> Queue:
        """Return the queue of a key; jobs of one key share batches."""
        found = self._queues.get(key)
        if found is None:
            found = self._queues[key] = Queue(operation, compute)
        return found

    async def rows(self, queue: Queue, *arrays: Array) -> Sequence[Array]:
        """
        Return what the queue's function makes of these rows.

        Raises:
            Exception: What the function raised for these rows.
        """
        loop = asyncio.get_running_loop()
        job = Job(arrays, loop.create_future())
        if not queue.jobs:
            self._turns.append(queue)
        queue.jobs.append(job)
        self._n_new += job.n_rows
        if not self._busy:
            self._busy = True
            loop.call_soon(self._gather, loop, 0)
        outcome: Sequence[Array] = await job.waiter
        return outcome

    @property
    def alive(self) -> bool:
        """Whether the compute thread takes batches."""
        return not self._closed

    def close(self) -> None:
        """Finish the batch that is running and stop the compute thread."""
        self._closed = True
        self._thread.shutdown(wait=True)

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
            if queue.jobs:
                self._turns.append(queue)
            if pieces:
                self._start(loop, queue, pieces)
                return
        self._busy = False

    def _start(
        self, loop: asyncio.AbstractEventLoop, queue: Queue, pieces: list[Piece]
    ) -> None:
        started = perf_counter()
        n_rows = sum(piece.stop - piece.start for piece in pieces)
        if n_rows * queue.row_seconds <= INLINE_SECONDS:
            outcomes = computed(queue.compute, pieces)
            self._finish(loop, queue, pieces, n_rows, started, outcomes)
            return
        future = loop.run_in_executor(self._thread, computed, queue.compute, pieces)
        future.add_done_callback(
            lambda done: self._finish(
                loop, queue, pieces, n_rows, started, done.result()
            )
        )

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
        seconds = perf_counter() - started
        queue.learn(n_rows, seconds)
        for piece, outcome in zip(pieces, outcomes, strict=True):
            _deliver(piece.job, outcome)
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


def _deliver(job: Job, outcome: Outcome) -> None:
    if job.waiter.done():
        return
    if isinstance(outcome, Exception):
        job.waiter.set_exception(outcome)
        return
    job.parts.append(outcome)
    if job.n_done < job.n_rows:
        return
    if len(job.parts) == 1:
        job.waiter.set_result(outcome)
    else:
        columns = zip(*job.parts, strict=True)
        job.waiter.set_result([np.concatenate(column) for column in columns])
