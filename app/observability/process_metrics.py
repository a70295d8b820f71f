"""What goes wrong with processes, counted: deaths, stalls, lines that are dropped."""

from typing import Literal, final, get_args

from prometheus_client import CollectorRegistry, Counter

Stream = Literal["access", "log"]


@final
class ProcessMetrics:
    """Counters that are 0 in a process that is well; any thread may count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deaths = Counter(
            "vae_worker_deaths",
            "Workers that died and were replaced.",
            registry=registry,
        )
        self._stalls = Counter(
            "vae_event_loop_stalls",
            "Times that the event loop was held for seconds.",
            registry=registry,
        )
        self._dropped = Counter(
            "vae_log_lines_dropped",
            "Lines that nobody read, by the log that they were for.",
            ("stream",),
            registry=registry,
        )
        for stream in get_args(Stream):
            self._dropped.labels(stream)  # an alert needs the 0 before the first

    def count_deaths(self, n_workers: int) -> None:
        """Count workers that died; the one that takes their place does."""
        self._deaths.inc(n_workers)

    def count_stall(self) -> None:
        """Count a stall of the event loop, once."""
        self._stalls.inc()

    def count_dropped(self, stream: Stream, n_lines: int) -> None:
        """Count lines that were dropped."""
        self._dropped.labels(stream).inc(n_lines)
