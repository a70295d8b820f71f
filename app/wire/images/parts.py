"""Presents parts of a body as one file to a decoder, without a copy."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from threading import Event
from typing import final

_BUFFER_BYTES = 1 << 16


@final
class StoppedError(Exception):
    """The work was stopped, because its result is no longer needed."""


def check_wanted(stop: Event | None) -> None:
    """
    Check that the work is not stopped; called regularly by its loops and its files.

    Raises:
        StoppedError: `stop` is set.
    """
    if stop is not None and stop.is_set():
        raise StoppedError


def as_file(parts: Sequence[memoryview], stop: Event | None) -> io.BufferedReader:
    """Return parts as a file; reading it raises `StoppedError` once `stop` is set."""
    return io.BufferedReader(_Parts(parts, stop), _BUFFER_BYTES)


@final
class _Parts(io.RawIOBase):
    """A read-only file over a sequence of parts."""

    def __init__(self, parts: Sequence[memoryview], stop: Event | None) -> None:
        super().__init__()
        self._parts = parts
        self._ends = [*accumulate(map(len, parts))]
        self._stop = stop
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: self._ends[-1] if self._ends else 0,
        }
        self._position = max(0, starts[whence] + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]  # no other buffer types here
        check_wanted(self._stop)
        i = bisect_right(self._ends, self._position)
        if i == len(self._ends):
            return 0
        part = self._parts[i]
        start = self._position - self._ends[i] + len(part)
        size = min(len(buffer), len(part) - start)
        buffer[:size] = part[start : start + size]
        self._position += size
        return size
