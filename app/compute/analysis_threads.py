"""
Runs analyses in threads of their own, a slice of rows at a time, one at a time.

The threads are separate from the micro-batcher, so that no batch waits for an analysis.
Only one of them computes at a time, for a short turn (see `app.compute.turns`), so that
every request starts soon, and a short one need not wait for a long one to finish. A
cancelled request ends at its next pause. The number of requests at a time is limited.
This module does not depend on what the analyses compute.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from typing import final

from app.compute.turns import Stopwatch, Turns, Work
from app.errors import OverloadedError
from app.observability import timing
from model.inference.columns import Columns, concatenate

RETRY_AFTER_SECONDS = 2

_TURN_SECONDS = 0.03
_MAX_BEGUN = 10  # slices; each has about 20 MiB


@final
class AnalysisThreads:
    """Runs the analyses of several requests, in turns."""

    def __init__(self, *, max_requests: int) -> None:
        self._max_requests = max_requests
        self._n_requests = 0
        self._turns = Turns(
            max_begun=min(max_requests, _MAX_BEGUN), seconds=_TURN_SECONDS
        )

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
        work = Work(deque(partial(compute, rows) for rows in slices))
        self._n_requests += 1
        self._turns.submit(work)
        try:
            parts = await asyncio.wrap_future(work.future)
        finally:
            self._turns.drop(work)
            self._n_requests -= 1
            _note(work.stopwatch)
        # Joining long columns here would block the event loop.
        return (
            parts[0] if len(parts) == 1 else await asyncio.to_thread(concatenate, parts)
        )

    def close(self) -> None:
        """Finish the current turn, and stop the threads."""
        self._turns.close()


def _note(stopwatch: Stopwatch) -> None:
    """Record the time until now for the request of the current task."""
    now = perf_counter()
    started, seconds = stopwatch.started, stopwatch.seconds
    if started is None:
        started = ended = now
    else:
        ended = now if stopwatch.turn else stopwatch.ended or now
    timing.note(stopwatch.queued, started, ended, seconds)
