"""
Writes lines to a file descriptor so that no caller ever blocks.

A pipe that is not read is full after 64 KiB, and then blocks its writers. Linux can be
asked to write only if that takes no waiting. Otherwise lines are queued for a thread,
up to a few hundred writes. Further lines are dropped and counted; once the pipe is read
again, a line reports how many.
"""

import errno
import os
import select
import threading
from collections.abc import Callable
from datetime import UTC, datetime
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
    A file descriptor with a queue of lines.

    Attributes:
        on_drop: Called with the number of dropped lines, in any thread.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: SimpleQueue[_Write | threading.Event] = SimpleQueue()
        self._n_queued = 0  # including the one that is being written
        self._counting = threading.Lock()
        self._can_write_now = hasattr(os, "RWF_NOWAIT")
        self._n_dropped = 0  # not reported yet
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self.on_drop: Callable[[int], object] = _ignore

    def write(self, text: bytes, *, n_lines: int = 1) -> None:
        """Write whole lines, queue them, or drop them if the queue is full."""
        is_next = self._n_queued == 0 and self._n_dropped == 0
        if is_next and self._can_write_now:
            text = text[self._write_now(text) :]
            if not text:
                return
        if self._queue.qsize() >= MAX_QUEUED:
            self._drop(n_lines)
            return
        with self._counting:
            self._n_queued += 1
        self._queue.put(_Write(text, n_lines))
        if self._thread is None:
            self._run()

    def write_lines(self, *lines: str) -> None:
        """Queue lines of text."""
        for line in lines:
            self.write(f"{line}\n".encode(errors="replace"))

    def flush(self) -> None:
        """Wait until all queued lines are written, at most `FLUSH_SECONDS`."""
        if self._thread is None:
            return
        written = threading.Event()
        self._queue.put(written)
        written.wait(FLUSH_SECONDS)

    def _write_now(self, text: bytes) -> int:
        """Write as much as can be written without waiting; return its length."""
        try:
            return os.pwritev(self._descriptor, [text], -1, os.RWF_NOWAIT)
        except OSError as error:
            # A file, an older kernel, or a pipe without a reader: left to the thread.
            self._can_write_now = error.errno == errno.EAGAIN
            return 0

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
            if isinstance(queued, _Write):
                self._write(queued)
                with self._counting:
                    self._n_queued -= 1
            if self._n_dropped and self._queue.empty():
                n_lines, self._n_dropped = self._n_dropped, 0
                now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3]
                what = f"{n_lines} lines were dropped here"
                text = f"{now}Z WARNING {__name__}: {what}\n"
                self._write(_Write(text.encode(), 1))
            if isinstance(queued, threading.Event):
                queued.set()

    def _write(self, queued: _Write) -> None:
        rest = memoryview(queued.text)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process made the descriptor non-blocking
                select.select([], [self._descriptor], [])
            except OSError:  # the reader has gone
                self._drop(queued.n_lines)
                return

    def _drop(self, n_lines: int) -> None:
        self._n_dropped += n_lines
        self.on_drop(n_lines)


def _ignore(_n_lines: int) -> None:
    pass
