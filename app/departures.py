"""
Clients that go away while they wait: their requests are cancelled and cost no compute.

Nearly every request is answered before its client could leave, so a request is watched
only once it has waited from one sweep to the next.
"""

import asyncio
from typing import final

from app.exchange import Request

SWEEP_SECONDS = 0.05


@final
class Departures:
    """The requests in flight, and the tasks that answer them."""

    def __init__(self) -> None:
        self._tasks: dict[Request, asyncio.Task[None] | None] = {}
        self._old: set[Request] = set()
        self._watchers: dict[Request, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, request: Request) -> None:
        """Note that the current task is answering a request."""
        self._tasks[request] = asyncio.current_task()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    def leave(self, request: Request) -> None:
        """Note that it has been answered."""
        del self._tasks[request]
        if self._watchers:
            watcher = self._watchers.pop(request, None)
            if watcher is not None:
                watcher.cancel()

    def _sweep(self) -> None:
        for request in self._old & self._tasks.keys() - self._watchers.keys():
            if request.is_read:
                self._watchers[request] = asyncio.ensure_future(self._watch(request))
        self._old = set(self._tasks)
        self._timer = None
        if self._tasks:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    async def _watch(self, request: Request) -> None:
        """Cancel the task that answers a request when its client goes away."""
        await request.departure()
        task = self._tasks.get(request)
        if task is not None:
            request.has_departed = True
            task.cancel()
