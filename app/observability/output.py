"""
Lines for a file descriptor, written by a thread, so that nobody waits for a reader.

A pipe that is not read is full after 64 KiB, and then holds up whoever writes to it.
So lines are queued, up to some hundred writes; more are dropped, counted, and, once the
pipe is read again, mentioned in a line.
"""

import os
import select
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple, final

MAX_QUEUED = 256  # writes, of about PIPE_BUF bytes each
FLUSH_SECONDS = 1.0


class _Write(NamedTuple):
    text: bytes
    n_lines: int


@final
class Output:
    """
    A file descriptor and the lines on their way to it.

    Attributes:
        on_drop: Called, in any thread, with a number of lines that were dropped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: SimpleQueue[_Write | threading.Event] = SimpleQueue()
        self._n_dropped = 0  # since the last line that says so
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self.on_drop: Callable[[int], object] = _ignore

    def write(self, text: bytes, *, n_lines: int = 1) -> None:
        """Queue whole lines; they are written soon, or dropped. Never blocks."""
        if self._queue.qsize() >= MAX_QUEUED:
            self._drop(n_lines)
            return
        self._queue.put(_Write(text, n_lines))
        if self._thread is None:
            self._run()

    def say(self, *lines: str) -> None:
        """Queue lines of text."""
        for line in lines:
            self.write(f"{line}\n".encode(errors="replace"))

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until all that is queued is written, at most so many seconds."""
        if self._thread is not None:
            written = threading.Event()
            self._queue.put(written)
            written.wait(seconds)

    def _run(self) -> None:
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._write_all, name="output", daemon=True
                )
                self._thread.start()

    def _write_all(self) -> None:
        while True:
            queued = self._queue.get()
            if isinstance(queued, threading.Event):
                queued.set()
                continue
            self._write(queued)
            if self._n_dropped and self._queue.empty():
                n_lines, self._n_dropped = self._n_dropped, 0
                text = f"WARNING {__name__}: {n_lines} lines were dropped here\n"
                self._write(_Write(text.encode(), 1))

    def _write(self, queued: _Write) -> None:
        rest = memoryview(queued.text)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever shares the descriptor made it so
                select.select([], [self._descriptor], [])
            except OSError:  # nobody will read it any more
                self._drop(queued.n_lines)
                return

    def _drop(self, n_lines: int) -> None:
        self._n_dropped += n_lines
        self.on_drop(n_lines)


def _ignore(_n_lines: int) -> None:
    pass
