"""
Limits the bytes of responses in memory that clients have not read yet.

Short responses (some ten KB) are written at once and not counted: each connection has
at most one. So clients that request long responses and do not read them cannot stop
others from sending small requests.
"""

from typing import final

from app.errors import OverloadedError
from app.http.freed_memory import FreedMemory
from app.lifecycle import RETRY_AFTER_SECONDS


@final
class ResponseBudget:
    """Counts the bytes of responses from their computation until they are sent."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._freed = FreedMemory()

    def take(self, n_bytes: int, *, held: int) -> None:
        """
        Count bytes of a request's response.

        Args:
            held: Bytes that are already counted for the same request.

        Raises:
            OverloadedError: The budget is full, and not by this request alone.
        """
        n_together = self._n_bytes + n_bytes
        # A single response is limited by its call, and is always accepted.
        if n_together > self._max_bytes and self._n_bytes > held:
            raise OverloadedError(
                f"expected at most {self._max_bytes} bytes of unread responses, got "
                f"{n_bytes} in addition to {self._n_bytes}; try again",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._n_bytes = n_together

    def release(self, n_bytes: int) -> None:
        """Stop counting bytes: they have been sent, or the client has disconnected."""
        self._n_bytes -= n_bytes
        self._freed.note(n_bytes)
