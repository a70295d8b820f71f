"""SIGHUP, the signal to read files again: never lost, and never ends a process."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGHUP = {signal.SIGHUP}


def block() -> None:
    """
    Block SIGHUP in this thread and in the threads and processes that it starts.

    Without a handler, SIGHUP would end the process; blocked, it stays pending.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGHUP)


@contextmanager
def blocked() -> Iterator[None]:
    """Block SIGHUP while starting processes, which inherit the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGHUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def on_sighup(call: Callable[[], object]) -> Iterator[None]:
    """Have the running loop call a function on every SIGHUP, also on a pending one."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, call)
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGHUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        loop.remove_signal_handler(signal.SIGHUP)
