"""Jobs that wait for a batch, their pieces, and the queue of an operation."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from time import perf_counter
from typing import NamedTuple, final

import numpy as np

from app.observability import timing
from model.engine import TILE, AnyArray, Array

_BATCH_SECONDS = 0.02  # the target duration of a batch
_UNKNOWN_ROW_SECONDS = 0.001
_MAX_SHORT_ROWS = TILE // 2
_LAST_WEIGHT = 0.1  # weight of the last full batch in the running mean of a row's cost

_NBYTES = attrgetter("nbytes")

RowFunction = Callable[..., Sequence[AnyArray]]
Outcome = Sequence[AnyArray] | Exception


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
        self, arrays: Sequence[AnyArray], waiter: asyncio.Future[Sequence[AnyArray]]
    ) -> None:
        self.arrays = arrays
        self.waiter = waiter
        self.n_rows = len(arrays[0])
        self.n_bytes = sum(map(_NBYTES, arrays))
        self.n_done = 0
        self.parts: list[Sequence[AnyArray]] = []
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
        if self.n_done < self.n_rows:
            return
        if len(self.parts) == 1:
            self.waiter.set_result(outcome)
        else:
            columns = zip(*self.parts, strict=True)
            self.waiter.set_result([np.concatenate(column) for column in columns])

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
        self.row_seconds = _UNKNOWN_ROW_SECONDS
        self._short: deque[Job] = deque()
        self._long: deque[Job] = deque()

    @property
    def has_jobs(self) -> bool:
        """Whether rows wait to be computed."""
        return bool(self._short or self._long)

    def add(self, job: Job) -> None:
        """Queue a job."""
        (self._short if job.n_rows <= _MAX_SHORT_ROWS else self._long).append(job)

    def take(self) -> list[Piece]:
        """Take the next batch: short jobs first, up to half of it if long ones wait."""
        room = self._room()
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
        self.row_seconds = (perf_counter() - started) / len(arrays[0])

    def learn(self, n_rows: int, seconds: float) -> None:
        """
        Update the cost of a row from the duration of a batch.

        Short batches may only lower it: their overhead makes each row look expensive.
        """
        cost = seconds / n_rows
        if cost < self.row_seconds:
            self.row_seconds = cost
        elif n_rows >= self._room():
            self.row_seconds += _LAST_WEIGHT * (cost - self.row_seconds)

    def _room(self) -> int:
        return max(1, min(TILE, int(_BATCH_SECONDS / self.row_seconds)))


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
    # After the loop: a batch must have at most one piece of a job.
    jobs.extend(p.job for p in pieces if p.stop < p.job.n_rows)
    return pieces
