"""
The requests that a model computes.

A request is cancelled if its client disconnects or its deadline passes, which stops the
computation. Most requests finish within milliseconds, so watching each client from the
start would be a waste: a timer sweeps over all requests, and a client is watched only
if its request is still there after a whole sweep interval.
"""

import asyncio
from time import perf_counter
from typing import final

from app.http.request import CancelReason, Request

SWEEP_SECONDS = 0.05


@final
class InFlight:
    """The requests that one model computes, and the task that handles each."""

    def __init__(self) -> None:
        self._tasks: dict[Request, asyncio.Task[None] | None] = {}
        self._old: set[Request] = set()
        self._watchers: dict[Request, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._last: asyncio.Event | None = None  # set when there are none any more

    def enter(self, request: Request) -> None:
        """Add a request, handled by the current task."""
        self._tasks[request] = asyncio.current_task()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    def leave(self, request: Request) -> None:
        """Remove a request that has been handled."""
        del self._tasks[request]
        if self._watchers:
            watcher = self._watchers.pop(request, None)
            if watcher is not None:
                watcher.cancel()
        if self._last is not None and not self._tasks:
            self._last.set()

    async def ended(self) -> None:
        """Wait until the last request has been handled; no new one may begin."""
        self._last = asyncio.Event()
        if self._tasks:
            await self._last.wait()

    def _sweep(self) -> None:
        now = perf_counter()
        for request in self._old & self._tasks.keys():
            if request.deadline < now:
                self._cancel(request, "timed_out")
            elif request.is_read and request not in self._watchers:
                self._watchers[request] = asyncio.ensure_future(self._watch(request))
        self._old = set(self._tasks)
        self._timer = None
        if self._tasks:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    async def _watch(self, request: Request) -> None:
        await request.wait_for_disconnect()
        self._cancel(request, "disconnected")

    def _cancel(self, request: Request, reason: CancelReason) -> None:
        """Cancel the task that handles a request, at most once."""
        task = self._tasks.get(request)
        if task is not None and request.cancel_reason is None:
            request.cancel_reason = reason
            task.cancel()
