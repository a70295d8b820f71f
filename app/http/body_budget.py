"""
The bodies of requests in hand: how long one may be, and how long all together.

A body that has come whole when it is first looked at, of some hundred KB at most, is
not counted: there are no more of those than connections. So whoever sends long bodies
slowly, and fills the room for them, keeps nobody from sending short ones.
"""

import ctypes
from collections.abc import Callable
from typing import final

from app.errors import CLOSE, OverloadedError
from app.http.freed_memory import FreedMemory
from app.lifecycle import RETRY_AFTER_SECONDS

_FIRST_SHARE = 16
# A bytearray that is not written: `bytearray(n)` would write n zeros, which are memory.
_unwritten: Callable[[None, int], bytearray] = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t
)(("PyByteArray_FromStringAndSize", ctypes.pythonapi))


@final
class Bodies:
    """
    Counts the bytes of bodies from when they come until their requests are answered.

    Attributes:
        max_bytes: The longest body of one request.
    """

    def __init__(self, *, max_bytes: int, max_bytes_together: int) -> None:
        self.max_bytes = max_bytes
        self._max_together = max_bytes_together
        self._n_bytes = 0
        self._freed = FreedMemory()

    def check_room(self, announced: int) -> None:
        """
        Check that a body of so many bytes may come; none of them is reserved for it.

        Raises:
            OverloadedError: It may not, now.
        """
        if self._n_bytes and self._n_bytes + announced > self._max_together:
            raise self._overloaded(announced)

    def take(self, n_bytes: int, *, held: int) -> None:
        """
        Count bytes that have come for a request that holds others already.

        Raises:
            OverloadedError: They are too many, and not those of this request alone.
        """
        n_together = self._n_bytes + n_bytes
        # One request alone is bounded by `max_bytes`, and is always taken.
        if n_together > self._max_together and self._n_bytes > held:
            raise self._overloaded(n_bytes)
        self._n_bytes = n_together

    def release(self, n_bytes: int) -> None:
        """Forget bytes that were taken."""
        self._n_bytes -= n_bytes
        self._freed.note(n_bytes)

    def _overloaded(self, n_bytes: int) -> OverloadedError:
        return OverloadedError(
            f"expected at most {self._max_together} bytes of bodies in hand, got "
            f"{n_bytes} more than {self._n_bytes}; ask again",
            retry_after_seconds=RETRY_AFTER_SECONDS,
            headers=CLOSE,
        )


def with_room(collected: bytearray, size: int, most: int) -> bytearray:
    """
    Return a copy with room for more, which is no memory until something is there.

    The room is a sixteenth of the most that may come, then all of it: so no more than
    a sixteenth is ever copied, and the body is in memory once.
    """
    first = most // _FIRST_SHARE
    larger = _unwritten(None, first if size <= first else max(size, most))
    larger[: len(collected)] = collected
    return larger
