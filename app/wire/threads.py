"""Runs work in threads, and stops it soon after its caller is cancelled."""

import asyncio
from collections.abc import Callable
from threading import Event
from typing import TypeVar, final

_Result = TypeVar("_Result")


@final
class Threads:
    """
    Runs functions in threads, a limited number at a time.

    A thread cannot be cancelled. So a function gets an event that is set when its
    caller is cancelled; it checks the event regularly and raises. Until it has ended it
    counts as running.
    """

    def __init__(self, max_running: int) -> None:
        self._room = asyncio.Semaphore(max_running)

    async def run(self, function: Callable[[Event], _Result]) -> _Result:
        """Run a function; return its result or raise its exception."""
        await self._room.acquire()
        stop = Event()
        work = asyncio.ensure_future(asyncio.to_thread(function, stop))
        work.add_done_callback(self._on_end)
        try:
            return await asyncio.shield(work)
        finally:
            stop.set()

    def _on_end(self, work: "asyncio.Future[_Result]") -> None:
        self._room.release()
        if not work.cancelled():
            work.exception()  # retrieved, so that asyncio does not log it
