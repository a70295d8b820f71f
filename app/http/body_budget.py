"""
Limits the bytes of request bodies in memory: of one request, and of all together.

A body that has arrived completely when it is first read (some hundred KB at most) is
not counted: each connection has at most one. So clients that fill the budget with long,
slow bodies cannot stop others from sending short ones.
"""

import ctypes
from collections.abc import Callable
from typing import final

from app.errors import CLOSE, OverloadedError
from app.http.freed_memory import FreedMemory
from app.lifecycle import RETRY_AFTER_SECONDS

_FIRST_SHARE = 16
# What a system reserves for a process without a doubt, and how much more in each step.
_RESERVED_BYTES, _MOST_GROWTH = 1 << 30, 4
# An uninitialized bytearray: `bytearray(n)` would write n zeros, which takes memory.
_uninitialized: Callable[[None, int], bytearray] = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t
)(("PyByteArray_FromStringAndSize", ctypes.pythonapi))


@final
class BodyBudget:
    """
    Counts the bytes of bodies from their arrival until their requests are answered.

    Attributes:
        max_bytes: The limit of one request's body.
    """

    def __init__(self, *, max_bytes: int, max_bytes_together: int) -> None:
        self.max_bytes = max_bytes
        self._max_together = max_bytes_together
        self._n_bytes = 0
        self._freed = FreedMemory()

    def check_room(self, announced: int) -> None:
        """
        Check that there is room for a body of the announced size; reserve nothing.

        Raises:
            OverloadedError: There is no room now.
        """
        if self._n_bytes and self._n_bytes + announced > self._max_together:
            raise self._overloaded(announced)

    def take(self, n_bytes: int, *, held: int) -> None:
        """
        Count bytes that have arrived for a request.

        Args:
            held: Bytes that are already counted for the same request.

        Raises:
            OverloadedError: The budget is full, and not by this request alone.
        """
        n_together = self._n_bytes + n_bytes
        # A single request is limited by `max_bytes`, and is always accepted.
        if n_together > self._max_together and self._n_bytes > held:
            raise self._overloaded(n_bytes)
        self._n_bytes = n_together

    def release(self, n_bytes: int) -> None:
        """Stop counting bytes of a body."""
        self._n_bytes -= n_bytes
        self._freed.note(n_bytes)

    def _overloaded(self, n_bytes: int) -> OverloadedError:
        return OverloadedError(
            f"expected at most {self._max_together} bytes of bodies at a time, got "
            f"{n_bytes} in addition to {self._n_bytes}; try again",
            retry_after_seconds=RETRY_AFTER_SECONDS,
            headers=CLOSE,
        )


def grow(collected: bytearray, size: int, max_size: int) -> bytearray:
    """
    Return a copy in a larger buffer, whose unused part takes no memory.

    The first buffer has a sixteenth of the largest size, the second all of it. So at
    most a sixteenth is ever copied, and the body is in memory once. A limit of many
    GiB, which may be more than there is, is reached in more steps.
    """
    first = max_size // _FIRST_SHARE
    most = max(_RESERVED_BYTES, _MOST_GROWTH * size)
    wanted = min(first if size <= first else max_size, most)
    larger = _uninitialized(None, max(size, wanted))
    larger[: len(collected)] = collected
    return larger
