"""Counters of process failures: dead workers, blocked event loops, dropped lines."""

from typing import Literal, final, get_args

from prometheus_client import CollectorRegistry, Counter

LogStream = Literal["access", "log"]


@final
class ProcessMetrics:
    """Counters that stay 0 in a healthy process; thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deaths = Counter(
            "vae_worker_deaths",
            "Workers that died and were replaced.",
            registry=registry,
        )
        self._stalls = Counter(
            "vae_event_loop_stalls",
            "Times that the event loop was blocked for seconds.",
            registry=registry,
        )
        self._dropped = Counter(
            "vae_log_lines_dropped",
            "Log lines dropped because the output was not read, by log.",
            ("stream",),
            registry=registry,
        )
        for stream in get_args(LogStream):
            self._dropped.labels(stream)  # alerts need the initial 0

    def count_deaths(self, n_workers: int) -> None:
        """Count workers that died; their replacement calls this."""
        self._deaths.inc(n_workers)

    def count_stall(self) -> None:
        """Count a stall of the event loop, once."""
        self._stalls.inc()

    def count_dropped(self, stream: LogStream, n_lines: int) -> None:
        """Count lines that were dropped."""
        self._dropped.labels(stream).inc(n_lines)
