"""Counts what comes and completes nothing: a head, extensions of chunks, trailers."""

from typing import final

from app.connection import head
from app.errors import ProblemError
from app.settings import Settings


@final
class Unfinished:
    """
    The bytes of packets that end within the head or the body of a request.

    Of a body only what brings nothing of it counts: extensions and trailers. The first
    packet of a head may be part of something else; it is not counted but at the start
    of a connection, so that a limit may be exceeded by one packet.
    """

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        self._n_bytes = 0
        self._counted: tuple[object, int] = (None, 0)

    def begin(self) -> None:
        """Note that a head is complete."""
        self._n_bytes = 0

    def has(self, scope: object) -> bool:
        """Say whether packets of a request were counted."""
        return self._counted[0] is scope

    def problem(
        self, size: int, scope: object, n_body: int, url: bytes, *, is_first: bool
    ) -> ProblemError | None:
        """
        Count a packet; return what to say if there have been too many.

        Args:
            scope: Of the request that it is part of.
            n_body: Bytes of its body that have come.
            is_first: Whether no head has come on the connection before.
        """
        counted, n_counted = self._counted
        if counted is not scope or n_counted != n_body:
            self._counted = (scope, n_body)
            self._n_bytes = 0 if counted or not is_first else size
        else:
            self._n_bytes += size
        limit = self._limits.max_header_bytes
        return head.too_large(url, limit) if self._n_bytes > limit else None
