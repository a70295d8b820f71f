"""Sets up a process before it serves, and reports start-up failures."""

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
    """The service cannot start; the message is one line for the operator."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def fail(error: Exception) -> NoReturn:
    """Exit with one line on stderr and status 3."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    raise SystemExit(STARTUP_FAILURE)


def allow_open_files(n_files: int) -> None:
    """Raise the soft limit on open files, up to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_files if hard == resource.RLIM_INFINITY else min(n_files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_freed_memory() -> None:
    """
    Have glibc keep freed memory of large requests, up to a quarter of a GiB.

    By default glibc returns it to the system and the next request has to fetch it
    again, page by page: a tenth of the time of a request of several megabytes.
    """
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def switch_threads_soon() -> None:
    """
    Have Python threads give the interpreter lock to the event loop within 1 ms.

    With the default of 5 ms the loop may wait that long for a thread that explains an
    invalid body or parses an image.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
