"""
Runs analyses in one thread of their own, a slice of rows at a time.

The thread is separate from the micro-batcher, so that no batch waits for an analysis.
Requests take turns, so a short request need not wait for a long one to finish. The
first slice of a request goes before the others' next slices, so that every request
starts soon; of two turns, one at least is for a next slice, so that none waits forever.
A cancelled request takes no more turns, and the result of its current slice is dropped.
The number of requests at a time is limited. This module does not depend on what the
analyses compute.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Generic, final

from app.errors import OverloadedError
from app.observability import timing
from model.inference.columns import Columns, joined

RETRY_AFTER_SECONDS = 2


@final
class AnalysisThread:
    """Runs the analyses of several requests, in turns."""

    def __init__(self, *, max_requests: int) -> None:
        self._max_requests = max_requests
        self._n_requests = 0
        self._turns = _Turns()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="analysis")

    def check_room(self) -> None:
        """
        Check that another request is allowed.

        Raises:
            OverloadedError: The limit of requests is reached.
        """
        if self._n_requests >= self._max_requests:
            raise OverloadedError(
                f"expected at most {self._max_requests} analyses at a time; try again",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )

    async def run(
        self, compute: Callable[[slice], Columns], slices: Iterable[slice]
    ) -> Columns:
        """
        Compute the slices one after the other, and join their results.

        Raises:
            OverloadedError: The limit of requests is reached.
            Exception: What `compute` raised.
        """
        self.check_room()
        self._n_requests += 1
        try:
            return await self._in_turns(compute, slices)
        finally:
            self._n_requests -= 1

    def close(self) -> None:
        """Finish the current slice, and stop the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _in_turns(
        self, compute: Callable[[slice], Columns], slices: Iterable[slice]
    ) -> Columns:
        loop = asyncio.get_running_loop()
        stopwatch = _Stopwatch(compute)
        try:
            parts: list[Columns] = []
            for rows in slices:
                await self._turns.take(is_first=not parts)
                try:
                    parts.append(
                        await loop.run_in_executor(self._thread, stopwatch, rows)
                    )
                finally:
                    self._turns.give_back()
        finally:
            stopwatch.note()
        # Joining long columns here would block the event loop.
        return parts[0] if len(parts) == 1 else await asyncio.to_thread(joined, parts)


@final
class _Turns:
    """Gives the thread to one request at a time, in two queues."""

    def __init__(self) -> None:
        self._is_taken = False
        self._was_first = False
        self._first: deque[asyncio.Future[None]] = deque()
        self._next: deque[asyncio.Future[None]] = deque()

    async def take(self, *, is_first: bool) -> None:
        """Wait for a turn, for the first slice of a request or for a later one."""
        if not self._is_taken:
            self._is_taken, self._was_first = True, is_first
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._first if is_first else self._next
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the same moment
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give the turn to the request that is next, if there is one."""
        for waiting in (self._first, self._next):
            while waiting and waiting[0].cancelled():
                waiting.popleft()
        takes_first = bool(self._first) and not (self._was_first and self._next)
        queue = self._first if takes_first else self._next
        self._is_taken, self._was_first = bool(queue), takes_first
        if queue:
            queue.popleft().set_result(None)


@final
class _Stopwatch(Generic[Columns]):
    """Wraps a function of slices, and measures when and how long it runs."""

    def __init__(self, compute: Callable[[slice], Columns]) -> None:
        self._compute = compute
        self._queued = perf_counter()
        self._begun: list[float] = []
        self._ended: list[float] = []

    def __call__(self, rows: slice) -> Columns:
        self._begun.append(perf_counter())
        try:
            return self._compute(rows)
        finally:
            self._ended.append(perf_counter())

    def note(self) -> None:
        """Record the time until now for the request of the current task."""
        begun, now = self._begun[:], perf_counter()
        ended = [*self._ended, now][
            : len(begun)
        ]  # one may be under way, its result unused
        started = begun[0] if begun else now
        seconds = sum(ended) - sum(begun)
        timing.note(self._queued, started, ended[-1] if ended else now, seconds)
