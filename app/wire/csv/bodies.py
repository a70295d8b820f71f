"""Reads CSV in the event loop if it is short, else in a thread that can be stopped."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar, final

from app.wire.body import Body
from app.wire.threads import Threads

_INLINE_BYTES = 1 << 13  # about a millisecond, cell by cell
_MAX_AT_ONCE = 2

_Result = TypeVar("_Result")


@final
class CsvBodies:
    """Runs what reads a body; at most two long ones at a time."""

    def __init__(self) -> None:
        self._threads = Threads(_MAX_AT_ONCE)

    async def read(self, body: Body, read: Callable[[Event], _Result]) -> _Result:
        """Return what a function reads from a body; it gets an event to end early."""
        if len(body) <= _INLINE_BYTES:
            return read(Event())
        return await self._threads.run(read)
