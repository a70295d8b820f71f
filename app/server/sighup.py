"""SIGHUP, which says that files have changed: none is lost, and none ends a process."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_HANGUP = {signal.SIGHUP}


def hold() -> None:
    """
    Let each SIGHUP wait, in this thread and in all that it starts, processes too.

    Until somebody hears it, it would end the process.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)


@contextmanager
def held() -> Iterator[None]:
    """Start processes in which each SIGHUP waits until they hear it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def heard(hear: Callable[[], object]) -> Iterator[None]:
    """Have the running loop call a function at every SIGHUP, at one that waits too."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hear)
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANGUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        loop.remove_signal_handler(signal.SIGHUP)
