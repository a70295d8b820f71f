"""Sets up a process before it serves, and reports start-up failures."""

import os
import resource
import sys
from contextlib import suppress
from typing import NoReturn

STARTUP_FAILURE = 3

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SWITCH_SECONDS = 0.001
_KEPT_BYTES, _MAPPED_BYTES = 256 << 20, 64 << 20
_KEPT_SHARE = 16  # of the memory, at most


class StartError(Exception):
    """The service cannot start; the message is one line for the operator."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def fail(error: Exception) -> NoReturn:
    """Exit with one line on stderr and status 3."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    raise SystemExit(STARTUP_FAILURE)


def open_standard_streams() -> None:
    """
    Open stdin, stdout and stderr on the null device where they are closed.

    Otherwise a socket or a file of this process would get their numbers, and with them
    what is written to the log. To be called before ctypes is imported: libffi may open
    its own file for good.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, True)  # by the workers
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def allow_open_files(n_files: int) -> None:
    """Raise the soft limit on open files, up to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n_files if hard == resource.RLIM_INFINITY else min(n_files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_freed_memory(available: int) -> None:
    """
    Have glibc keep freed memory of large requests, up to a quarter of a GiB.

    By default glibc returns it to the system and the next request has to fetch it
    again, page by page: a tenth of the time of a request of several megabytes.

    Args:
        available: The memory that the service may use, in bytes; if that is little,
            less is kept.
    """
    import ctypes  # noqa: PLC0415  see open_standard_streams

    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        kept = min(_KEPT_BYTES, available // _KEPT_SHARE)
        libc.mallopt(_M_TRIM_THRESHOLD, kept)
        libc.mallopt(_M_MMAP_THRESHOLD, min(_MAPPED_BYTES, kept // 4))


def switch_threads_soon() -> None:
    """
    Have Python threads give the interpreter lock to the event loop within 1 ms.

    With the default of 5 ms the loop may wait that long for a thread that explains an
    invalid body or parses an image.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
