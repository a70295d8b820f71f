"""Sees an event loop that is held up, says by what, and counts it."""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from time import monotonic
from typing import final

logger = logging.getLogger(__name__)

STALL_SECONDS = 5.0
_BEATS_PER_STALL = 5


@final
class Watchdog:
    """
    A thread that warns when the running event loop has not turned for so long.

    Args:
        on_beat: Called in the event loop, some times in that time.
        on_stall: Called once for each stall, in the thread.
    """

    def __init__(
        self,
        on_beat: Callable[[], object],
        on_stall: Callable[[], object],
        *,
        seconds: float = STALL_SECONDS,
    ) -> None:
        self._on_beat = on_beat
        self._on_stall = on_stall
        self._seconds = seconds
        self._period = seconds / _BEATS_PER_STALL
        self._beat_at = monotonic()
        self._ended = threading.Event()

    def start(self) -> None:
        """Watch the running loop, whose thread this is, until it ends."""
        self._beat(asyncio.get_running_loop())
        watched = threading.get_ident()
        threading.Thread(
            target=self._watch, args=(watched,), name="watchdog", daemon=True
        ).start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat_at = monotonic()
        self._on_beat()
        loop.call_later(self._period, self._beat, loop)

    def _watch(self, thread_id: int) -> None:
        told_of, looked_at = 0.0, monotonic()
        while not self._ended.wait(self._period):
            before, looked_at = looked_at, monotonic()
            if looked_at - before > self._seconds:
                continue  # all of the process was held up
            beat_at = self._beat_at
            if looked_at - beat_at > self._seconds and beat_at != told_of:
                told_of = beat_at
                self._on_stall()
                seconds = looked_at - beat_at
                logger.warning(
                    "the event loop is held up for %.0f s:\n%s",
                    seconds,
                    _stack(thread_id),
                )


def _stack(thread_id: int) -> str:
    """Return where a thread is: files, lines and functions, no values."""
    frame = sys._current_frames().get(thread_id)
    return "".join(traceback.format_stack(frame)).rstrip() if frame else "it has ended"
