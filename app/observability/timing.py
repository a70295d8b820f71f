"""
Measures the time of a request: in queues, in compute, and in total.

Compute code records times for the request of the current task, through a context
variable. So the layers between, such as `app.compute.operations`, need not know
requests.
"""

from contextvars import ContextVar
from time import perf_counter
from typing import final

from app.errors import Headers

# The times at which rows were queued, their first batch started, and their last batch
# ended; by `time.perf_counter`.
Trip = tuple[float, float, float]

_MS = 1000.0
_PHASES = b"queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f"


@final
class Timing:
    """
    The times of one request.

    Attributes:
        start: When the request began, by `time.perf_counter`.
        trips: Each passage of rows through a queue and compute; mostly one or none.
        queue_seconds: From queueing rows to the start of the first batch, or slice of
            an analysis, that contains some of them; the sum over the trips.
        compute_seconds: The sum of the durations of all batches that contained rows of
            the request. Rows of other requests may share them, and other batches may
            run in between.
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
        """Return a Server-Timing header in ms (W3C); queue and compute times if any."""
        total = (perf_counter() - self.start) * _MS
        if not self.trips:
            return ((b"server-timing", b"total;dur=%.3f" % total),)
        queue, compute = self.queue_seconds * _MS, self.compute_seconds * _MS
        value = _PHASES % (queue, compute, total)
        return ((b"server-timing", value),)


_of_task: ContextVar[Timing] = ContextVar("timing")


def begin() -> Timing:
    """Start measuring the request of the current task."""
    timing = Timing()
    _of_task.set(timing)
    return timing


def note(queued: float, started: float, ended: float, compute_seconds: float) -> None:
    """Record a trip of rows for the request of the current task, if there is one."""
    timing = _of_task.get(None)
    if timing is not None:
        timing.trips.append((queued, started, ended))
        timing.queue_seconds += started - queued
        timing.compute_seconds += compute_seconds
