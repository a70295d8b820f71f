"""What a process does before it serves, and how a start that fails ends."""

import ctypes
import resource
import sys
from contextlib import suppress
from typing import NoReturn

STARTUP_FAILURE = 3

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SWITCH_SECONDS = 0.001
_KEPT_BYTES, _MAPPED_BYTES = 256 << 20, 64 << 20


class StartError(Exception):
    """The service cannot start; the message is for an operator, on one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def fail(error: Exception) -> NoReturn:
    """End the process with one line on stderr and status 3."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    raise SystemExit(STARTUP_FAILURE)


def allow_open_files(n_files: int) -> None:
    """Raise this process's own limit on open files, as far as it may itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_files if hard == resource.RLIM_INFINITY else min(n_files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_freed_memory() -> None:
    """
    Have glibc keep what large requests leave, a quarter of a GiB at most.

    It would give it back to the system and fetch it again, page by page, with the next:
    a tenth of what a request of megabytes costs.
    """
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def switch_threads_soon() -> None:
    """
    Have threads that run Python give way to the event loop within a millisecond.

    Else it may wait five for a thread that words a fault or looks through an image.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
