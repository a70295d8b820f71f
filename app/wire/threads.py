"""Work in threads that ends soon after nobody waits for its result any more."""

import asyncio
from collections.abc import Callable
from threading import Event
from typing import TypeVar, final

_Result = TypeVar("_Result")


@final
class Threads:
    """
    Runs functions in threads, a few at once.

    A thread cannot be cancelled. A function gets an event that is set when its caller
    is, looks at it now and then, and raises. Until it has ended it counts as running.
    """

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)

    async def run(self, function: Callable[[Event], _Result]) -> _Result:
        """Return what a function returns, or raise what it raises."""
        await self._room.acquire()
        stop = Event()
        work = asyncio.ensure_future(asyncio.to_thread(function, stop))
        work.add_done_callback(self._ended)
        try:
            return await asyncio.shield(work)
        finally:
            stop.set()

    def _ended(self, work: "asyncio.Future[_Result]") -> None:
        self._room.release()
        if not work.cancelled():
            work.exception()  # looked at, so that asyncio does not log it
