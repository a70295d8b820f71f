"""
The responses that are computed and not yet taken: how many bytes all of them may hold.

A response of some ten KB is written at once and not counted: there is at most one of
those per connection. So whoever asks for long responses and does not read them keeps
nobody from asking about a few rows.
"""

from typing import final

from app.errors import OverloadedError
from app.http.freed_memory import FreedMemory
from app.lifecycle import RETRY_AFTER_SECONDS


@final
class Responses:
    """Counts the bytes of responses from when they are begun until they are taken."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._freed = FreedMemory()

    def take(self, n_bytes: int, *, held: int) -> None:
        """
        Count bytes for a request that holds others already.

        Raises:
            OverloadedError: They are too many, and not those of this request alone.
        """
        n_together = self._n_bytes + n_bytes
        # One response alone is bounded by the limits of its call, and is always taken.
        if n_together > self._max_bytes and self._n_bytes > held:
            raise OverloadedError(
                f"expected at most {self._max_bytes} bytes of responses that are not "
                f"yet taken, got {n_bytes} more than {self._n_bytes}; ask again",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._n_bytes = n_together

    def release(self, n_bytes: int) -> None:
        """Forget bytes that were counted: they are taken, or nobody waits for them."""
        self._n_bytes -= n_bytes
        self._freed.note(n_bytes)
