"""
The requests in flight: one whose client leaves, or whose time is up, is cancelled.

What is cancelled is computed no further. Nearly every request is answered before its
client could leave, so all are looked at in sweeps, and a request is watched for its
client only once it has waited from one sweep to the next.
"""

import asyncio
from time import perf_counter
from typing import final

from app.http.exchange import Fate, Request

SWEEP_SECONDS = 0.05


@final
class InFlight:
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
        now = perf_counter()
        for request in self._old & self._tasks.keys():
            if request.deadline < now:
                self._cancel(request, "late")
            elif request.is_read and request not in self._watchers:
                self._watchers[request] = asyncio.ensure_future(self._watch(request))
        self._old = set(self._tasks)
        self._timer = None
        if self._tasks:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    async def _watch(self, request: Request) -> None:
        await request.departure()
        self._cancel(request, "departed")

    def _cancel(self, request: Request, why: Fate) -> None:
        """Cancel the task that answers a request, once."""
        task = self._tasks.get(request)
        if task is not None and request.fate is None:
            request.fate = why
            task.cancel()
