"""Detects an event loop that is blocked, logs where, and counts it."""

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
    A thread that warns when the event loop has been blocked for `STALL_SECONDS`.

    Args:
        on_beat: Called in the event loop, a few times in `STALL_SECONDS`.
        on_stall: Called once for each stall, in the watchdog's thread.
    """

    def __init__(
        self, on_beat: Callable[[], object], on_stall: Callable[[], object]
    ) -> None:
        self._on_beat = on_beat
        self._on_stall = on_stall
        self._period = STALL_SECONDS / _BEATS_PER_STALL
        self._beat_at = monotonic()
        self._stop_event = threading.Event()

    def start(self) -> None:
        """Start watching the loop that runs in this thread."""
        self._beat(asyncio.get_running_loop())
        watched = threading.get_ident()
        threading.Thread(
            target=self._watch, args=(watched,), name="watchdog", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop_event.set()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat_at = monotonic()
        self._on_beat()
        loop.call_later(self._period, self._beat, loop)

    def _watch(self, thread_id: int) -> None:
        reported, checked_at = 0.0, monotonic()
        while not self._stop_event.wait(self._period):
            before, checked_at = checked_at, monotonic()
            if checked_at - before > STALL_SECONDS:
                continue  # the whole process was suspended, not only the loop
            beat_at = self._beat_at
            if checked_at - beat_at > STALL_SECONDS and beat_at != reported:
                reported = beat_at
                self._on_stall()
                seconds = checked_at - beat_at
                logger.warning(
                    "the event loop is blocked for %.0f s:\n%s",
                    seconds,
                    _stack(thread_id),
                )


def _stack(thread_id: int) -> str:
    """Return the stack of a thread: files, lines and functions, no values."""
    frame = sys._current_frames().get(thread_id)
    if frame is None:
        return "the thread has ended"
    return "".join(traceback.format_stack(frame)).rstrip()
