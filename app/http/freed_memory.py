"""
Gives memory that long bodies and responses leave back to the system.

glibc gives back only what lies at the end of a heap, and `startup.keep_freed_memory`
has it keep even that, so a burst of long bodies or responses would cost memory until
the process ends. Under steady load nothing is given back: it would be fetched again at
once.
"""

import asyncio
import ctypes
from contextlib import suppress
from typing import final

_QUIET_SECONDS = 1.0
_WORTHWHILE_BYTES = 32 << 20


@final
class FreedMemory:
    """Notes what is freed, and gives it back when nothing more has been for a while."""

    def __init__(self) -> None:
        self._n_bytes = 0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, n_bytes: int) -> None:
        """Note that so many bytes are free now."""
        self._n_bytes += n_bytes
        if self._n_bytes >= _WORTHWHILE_BYTES:
            loop = asyncio.get_running_loop()
            self._last = loop.time()
            if self._timer is None:
                self._timer = loop.call_later(_QUIET_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        due = self._last + _QUIET_SECONDS
        if loop.time() < due:
            self._timer = loop.call_at(due, self._look, loop)
            return
        self._timer, self._n_bytes = None, 0
        loop.run_in_executor(None, _give_back)


def _give_back() -> None:
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
