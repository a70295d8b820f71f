"""
Which connections are taken: as many as may be, and always one more for a probe.

Where all are open that may be, the one that has rested longest is closed for the next.
Where none rests, a few more are taken from a reserve, for probes alone: `/livez` of a
busy service must not fail, or an orchestrator would end it. When the reserve is full,
its oldest connection makes room, as an honest probe is answered within a moment.
"""

import logging
import resource
from collections.abc import Collection
from time import monotonic
from typing import Any, Protocol, final

from app.errors import UnavailableError
from app.lifecycle import RETRY_AFTER_SECONDS

logger = logging.getLogger(__name__)

PROBES = frozenset({"/livez", "/readyz"})
RESERVED = 16
_SPARE_FILES = 2 * RESERVED
_RESTED_SECONDS = 1.0
_BETWEEN_LOOKS_SECONDS = 0.25  # a look at all connections takes half a millisecond
_BETWEEN_WARNINGS_SECONDS = 60.0


class CountedConnection(Protocol):
    """What is to be known of a connection."""

    def rested(self) -> float:
        """Return for how many seconds nothing has been under way on it."""

    def close(self) -> None:
        """Close it without a word."""

    def turn_away(self) -> None:
        """Refuse whatever comes on it, and close it."""


@final
class Admission:
    """Decides for the connections of one process; `limit` is of those at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reserve: dict[CountedConnection, None] = {}
        self._resting: list[CountedConnection] = []
        self._looked = self._warned = float("-inf")

    def admit(
        self,
        new: CountedConnection,
        transport: Any,
        others: Collection[CountedConnection],
    ) -> bool:
        """Make room for a connection; return whether it is for all requests."""
        if len(others) < self._limit and not self._lacks_files(transport):
            return True
        if self._close_resting(others):
            return True
        self._reserve[new] = None
        if len(self._reserve) > RESERVED:
            oldest = next(iter(self._reserve))
            del self._reserve[oldest]
            oldest.turn_away()
        return False

    def forget(self, lost: CountedConnection) -> None:
        """Note that a connection of the reserve has ended."""
        self._reserve.pop(lost, None)

    def refusal(self) -> UnavailableError:
        """Return what to say on a connection of the reserve."""
        return UnavailableError(
            f"expected at most {self._limit} connections",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )

    def _close_resting(self, others: Collection[CountedConnection]) -> bool:
        now = monotonic()
        if not self._resting and now - self._looked > _BETWEEN_LOOKS_SECONDS:
            self._looked = now
            rested = {one: one.rested() for one in others}
            at_rest = [one for one in others if rested[one] > _RESTED_SECONDS]
            self._resting = sorted(at_rest, key=rested.__getitem__)
        while self._resting:
            longest = self._resting.pop()
            if longest.rested() > _RESTED_SECONDS:
                longest.close()
                return True
        return False

    def _lacks_files(self, transport: Any) -> bool:
        """Say whether few more files can be opened, and warn if so."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened = transport.get_extra_info("socket")
        if opened is None or opened.fileno() < limit - _SPARE_FILES:
            return False
        if (now := monotonic()) - self._warned > _BETWEEN_WARNINGS_SECONDS:
            self._warned = now
            logger.warning(
                "of %d files that may be open (ulimit -n) nearly all are: connections "
                "are refused, though VAE_MAX_CONNECTIONS is %d",
                limit,
                self._limit,
            )
        return True
