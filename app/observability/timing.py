"""
Where the time of a request goes: to waiting, to compute, and to all the rest.

Rows are noted where they are computed, for the request whose task asked for them: what
lies between, such as `app.compute.operations`, knows nothing of requests.
"""

from contextvars import ContextVar
from time import perf_counter
from typing import final

from app.errors import Headers

# Of rows: when they came into a queue, when the first batch of them began, when the
# last one ended; by `time.perf_counter`.
Trip = tuple[float, float, float]

_MS = 1000.0
_PHASES = b"queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f"


@final
class Timing:
    """
    The time of one request.

    Attributes:
        start: When its answer was begun, by `time.perf_counter`.
        trips: The ways of rows of it through a queue and compute; mostly one or none.
        queue_seconds: From when rows came into a queue to the start of the first batch,
            or slice of an analysis, that held some of them; the sum over the trips.
        compute_seconds: What all batches took that held rows of it, whatever else they
            held. Between them other requests may have had their turns.
    """

    __slots__ = ("compute_seconds", "queue_seconds", "start", "trips")

    def __init__(self) -> None:
        self.start = perf_counter()
        self.trips: list[Trip] = []
        self.queue_seconds = self.compute_seconds = 0.0

    def computing(self) -> tuple[float | None, float | None]:
        """Return the seconds of queue and compute; None if nothing was computed."""
        if not self.trips:
            return (None, None)
        return (self.queue_seconds, self.compute_seconds)

    def header(self) -> Headers:
        """Return it in milliseconds (W3C Server Timing); queue and compute if any."""
        total = (perf_counter() - self.start) * _MS
        if not self.trips:
            return ((b"server-timing", b"total;dur=%.3f" % total),)
        queue, compute = self.queue_seconds * _MS, self.compute_seconds * _MS
        value = _PHASES % (queue, compute, total)
        return ((b"server-timing", value),)


_of_task: ContextVar[Timing] = ContextVar("timing")


def begin() -> Timing:
    """Begin the time of the request that the current task answers."""
    timing = Timing()
    _of_task.set(timing)
    return timing


def note(queued: float, started: float, ended: float, compute_seconds: float) -> None:
    """Note a trip of rows for the request of the current task, if it is for one."""
    timing = _of_task.get(None)
    if timing is not None:
        timing.trips.append((queued, started, ended))
        timing.queue_seconds += started - queued
        timing.compute_seconds += compute_seconds
