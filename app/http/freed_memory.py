"""
Returns the memory of long bodies and responses to the system after a burst of them.

glibc returns memory only from the end of a heap, and `startup.keep_freed_memory` makes
it keep even that. So a burst of long ones would take memory until the process exits.
Under steady load nothing is returned: it would be allocated again at once. A body that
will never be read is the exception: its pages are returned immediately.
"""

import asyncio
import ctypes
import mmap
from contextlib import suppress
from typing import final

_QUIET_SECONDS = 1.0
_WORTHWHILE_BYTES = 32 << 20


@final
class FreedMemory:
    """Counts freed bytes, and trims the heap after a second without new ones."""

    def __init__(self) -> None:
        self._n_bytes = 0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, n_bytes: int) -> None:
        """Count bytes that have been freed."""
        self._n_bytes += n_bytes
        if self._n_bytes >= _WORTHWHILE_BYTES:
            loop = asyncio.get_running_loop()
            self._last = loop.time()
            if self._timer is None:
                self._timer = loop.call_later(_QUIET_SECONDS, self._trim, loop)

    def _trim(self, loop: asyncio.AbstractEventLoop) -> None:
        due = self._last + _QUIET_SECONDS
        if loop.time() < due:
            self._timer = loop.call_at(due, self._trim, loop)
            return
        self._timer, self._n_bytes = None, 0
        loop.run_in_executor(None, _trim_heap)


def _trim_heap() -> None:
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def return_pages(buffer: bytearray) -> None:
    """Return the whole pages of a buffer to the system; its content is lost."""
    if len(buffer) < 2 * mmap.PAGESIZE:
        return
    first = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    start = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (first + len(buffer)) // mmap.PAGESIZE * mmap.PAGESIZE
    with suppress(OSError, AttributeError):  # another system
        advise = ctypes.CDLL(None).madvise
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
