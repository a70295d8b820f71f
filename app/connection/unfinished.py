"""Counts bytes that complete nothing: unfinished heads, chunk extensions, trailers."""

from typing import final

from app.connection import head
from app.errors import ProblemError
from app.settings import Settings


@final
class Unfinished:
    """
    Counts the bytes of packets that end in the middle of a head or a body.

    Within a body, only packets without body bytes count: chunk extensions and trailers.
    The first packet of a head may also hold the end of another request. It is counted
    only at the start of a connection, so a limit may be exceeded by one packet.
    """

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        self._n_bytes = 0
        self._counted: tuple[object, int] = (None, 0)

    def begin(self) -> None:
        """Reset the count: a head is complete."""
        self._n_bytes = 0

    def has(self, scope: object) -> bool:
        """Return whether packets of this request have been counted."""
        return self._counted[0] is scope

    def problem(
        self, size: int, scope: object, n_body: int, url: bytes, *, is_first: bool
    ) -> ProblemError | None:
        """
        Count a packet; return the error if the count is over the limit.

        Args:
            scope: The scope of the packet's request.
            n_body: Bytes of the request body received so far.
            is_first: Whether this is the first request of the connection.
        """
        counted, n_counted = self._counted
        if counted is not scope or n_counted != n_body:
            self._counted = (scope, n_body)
            self._n_bytes = 0 if counted or not is_first else size
        else:
            self._n_bytes += size
        limit = self._limits.max_header_bytes
        return head.too_large(url, limit) if self._n_bytes > limit else None
