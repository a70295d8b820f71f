"""
Decides which connections are accepted: up to a limit, plus a small reserve for probes.

At the limit, the connection that has been idle longest is closed to make room for a new
one. If none is idle, a few more are accepted from a reserve, for probes only: `/livez`
of a busy service must not fail, or an orchestrator would restart it. When the reserve
is full, its oldest connection is closed: an honest probe is answered within a moment.
"""

import logging
import resource
from collections.abc import Collection
from time import monotonic
from typing import Any, Protocol, final

from app.errors import UnavailableError
from app.lifecycle import RETRY_AFTER_SECONDS

logger = logging.getLogger(__name__)

PROBES = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
RESERVED = 16
_SPARE_FILES = 2 * RESERVED
_MIN_IDLE_SECONDS = 1.0
_SCAN_INTERVAL_SECONDS = 0.25  # scanning all connections takes half a millisecond
_WARNING_INTERVAL_SECONDS = 60.0


class CountedConnection(Protocol):
    """The part of a connection that admission uses."""

    def idle_seconds(self) -> float:
        """Return for how many seconds the connection has been idle; 0 if it is not."""

    def close(self) -> None:
        """Close the connection without a response."""

    def refuse_all(self) -> None:
        """Refuse every request on the connection, and close it."""


@final
class Admission:
    """Admits the connections of one process; `limit` is the most open at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reserve: dict[CountedConnection, None] = {}
        self._idle: list[CountedConnection] = []
        self._scanned = self._warned = float("-inf")

    def admit(
        self,
        new: CountedConnection,
        transport: Any,
        others: Collection[CountedConnection],
    ) -> bool:
        """Accept a connection; return False if it may be used for probes only."""
        if len(others) < self._limit and not self._is_short_of_files(transport):
            return True
        if self._close_longest_idle(others):
            return True
        self._reserve[new] = None
        if len(self._reserve) > RESERVED:
            oldest = next(iter(self._reserve))
            del self._reserve[oldest]
            oldest.refuse_all()
        return False

    def forget(self, lost: CountedConnection) -> None:
        """Remove a closed connection from the reserve."""
        self._reserve.pop(lost, None)

    def refusal(self) -> UnavailableError:
        """Return the error for other requests than probes on a reserved connection."""
        return UnavailableError(
            f"expected at most {self._limit} connections",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )

    def _close_longest_idle(self, others: Collection[CountedConnection]) -> bool:
        now = monotonic()
        if not self._idle and now - self._scanned > _SCAN_INTERVAL_SECONDS:
            self._scanned = now
            seconds = {one: one.idle_seconds() for one in others}
            idle = [one for one in others if seconds[one] > _MIN_IDLE_SECONDS]
            self._idle = sorted(idle, key=seconds.__getitem__)
        while self._idle:
            longest = self._idle.pop()
            if longest.idle_seconds() > _MIN_IDLE_SECONDS:
                longest.close()
                return True
        return False

    def _is_short_of_files(self, transport: Any) -> bool:
        """Return whether the limit on open files is almost reached, and warn if so."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened = transport.get_extra_info("socket")
        if opened is None or opened.fileno() < limit - _SPARE_FILES:
            return False
        if (now := monotonic()) - self._warned > _WARNING_INTERVAL_SECONDS:
            self._warned = now
            logger.warning(
                "the limit of %d open files (ulimit -n) is almost reached: connections "
                "are refused, although VAE_MAX_CONNECTIONS is %d",
                limit,
                self._limit,
            )
        return True
