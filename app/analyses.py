"""
Where long analyses run: in one thread of their own, a slice of rows at a time.

The thread is not the micro-batcher's, so that none of its callers waits for an
analysis. Requests take turns: each hands in its next slice when the last one is done,
so that short ones pass long ones. A request that is cancelled, because its client has
gone or its time is up, hands in no more; the slice under way is finished for nobody.
How many are in hand is bounded. Nothing here knows what an analysis is.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import final

from app.errors import OverloadedError
from model.columns import Columns, joined

RETRY_AFTER_SECONDS = 2


@final
class Analyses:
    """Runs analyses, of several requests in turns."""

    def __init__(self, *, max_in_hand: int) -> None:
        self._max_in_hand = max_in_hand
        self._n_in_hand = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="analysis")

    def check_room(self) -> None:
        """
        Check that there is room for one more.

        Raises:
            OverloadedError: As many requests are in hand as may be.
        """
        if self._n_in_hand >= self._max_in_hand:
            raise OverloadedError(
                f"expected at most {self._max_in_hand} analyses at a time; ask again",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )

    async def run(
        self, compute: Callable[[slice], Columns], slices: Iterable[slice]
    ) -> Columns:
        """
        Compute the slices, one after the other, and join them.

        Raises:
            OverloadedError: As many requests are in hand as may be.
            Exception: What the function raised.
        """
        self.check_room()
        self._n_in_hand += 1
        try:
            return await self._in_turns(compute, slices)
        finally:
            self._n_in_hand -= 1

    def close(self) -> None:
        """Finish the slice that is running and stop the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _in_turns(
        self, compute: Callable[[slice], Columns], slices: Iterable[slice]
    ) -> Columns:
        loop = asyncio.get_running_loop()
        parts = [
            await loop.run_in_executor(self._thread, compute, rows) for rows in slices
        ]
        # Of long columns a copy would hold up the event loop.
        return parts[0] if len(parts) == 1 else await asyncio.to_thread(joined, parts)
