"""
Prometheus metrics of the service, in a registry of its own.

Events are recorded in lists and counted later, many at a time or when the metrics are
read: counting one by one costs ten times as much. With several workers, events are
counted at once: prometheus_client keeps each worker's numbers in files in the directory
PROMETHEUS_MULTIPROC_DIR, and any worker may have to add them up.
"""

import asyncio
import os
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar, final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.errors import reasons
from app.observability.batch import Batch
from app.observability.process_metrics import ProcessMetrics

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)

_MAX_PENDING = 64

_T = TypeVar("_T")
_Metric = TypeVar("_Metric", Counter, "_Histogram")
_Children = Callable[..., _Metric]

SwapOutcome = Literal["swapped", "refused"]

_MODEL = "vae_model_info"


@final
class _Histogram(Histogram):
    """A histogram that observes many amounts for little more than the cost of one."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe amounts, none of them NaN."""
        self._sum.inc(sum(amounts))
        buckets = Tally(bisect_left(self._upper_bounds, amount) for amount in amounts)
        for bucket, n in buckets.items():
            self._buckets[bucket].inc(n)


@final
class _Model:
    """The gauge that describes the served model, and the counter of swaps."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(
            _MODEL,
            "The served model; the value is 1.",
            ("version", "backend", "device", "likelihood"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._stated: dict[str, str] | None = None
        self.swaps = Counter(
            "vae_checkpoint_swaps",
            "New checkpoints, by whether they were swapped in or refused.",
            ("outcome",),
            registry=registry,
        )
        for outcome in get_args(SwapOutcome):
            self.swaps.labels(outcome)  # alerts need the initial 0

    def state(self, model: dict[str, str]) -> None:
        """Set the gauge to 1 with these labels."""
        self._gauge.labels(**model).set(1)
        self._stated = model

    def forget(self) -> None:
        """Remove the gauge's labels."""
        self._gauge.clear()

    def withdraw(self) -> None:
        """Set the gauge to 0; labels in a worker's file cannot be removed."""
        if self._stated is not None:
            self._gauge.labels(**self._stated).set(0)


@final
class _AllWorkers(Collector):
    """The sums over all workers, without models that no worker serves any more."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        files = self._directory.glob("*.db")
        # A worker that is just starting may have created an empty file.
        nonempty = [str(file) for file in files if file.stat().st_size]
        for metric in MultiProcessCollector.merge(nonempty):  # type: ignore[no-untyped-call]  # untyped
            if metric.name == _MODEL:
                metric.samples = [s for s in metric.samples if s.value]
            yield metric


class _Request(NamedTuple):
    route: str
    status: int
    seconds: float | None
    n_rows: int


@final
class Metrics:
    """
    All metrics of the service.

    Attributes:
        processes: Counters of process failures.
    """

    def __init__(self, *, n_workers: int) -> None:
        self.registry = CollectorRegistry()
        self._is_shared = n_workers > 1
        self._writing = asyncio.Lock()
        self._pending_requests: list[_Request] = []
        self._pending_batches: list[Batch] = []
        self._max_pending = 1 if self._is_shared else _MAX_PENDING
        self._requests = self._counter(
            "vae_requests", "Requests answered, by route and status.", "route", "status"
        )
        self._seconds = self._histogram(
            "vae_request_duration_seconds",
            "Time from the head of a request to the end of its response.",
            "route",
            _SECONDS,
        )
        self._reasons = reasons()
        self._rejected = self._counter(
            "vae_rejected", "Requests answered with a problem, by reason.", "reason"
        )
        self._n_in_flight = 0
        self._in_flight = self._sum(
            "vae_requests_in_flight",
            "Requests in progress, including the one for these metrics.",
        )
        self._rows = self._counter("vae_rows", "Rows in responses.", "route")
        self._batch_rows = self._histogram(
            "vae_batch_rows", "Rows computed in one batch.", "operation", _ROWS
        )
        self._queue_seconds = self._histogram(
            "vae_queue_seconds",
            "Time that the oldest request of a batch waited for it.",
            "operation",
            _SECONDS,
        )
        self._compute_seconds = self._histogram(
            "vae_compute_seconds", "Compute time of a batch.", "operation", _SECONDS
        )
        self._model = _Model(self.registry)
        self.processes = ProcessMetrics(self.registry)

    def describe(self, **model: str) -> None:
        """Set the gauge that describes the served model to 1 with these labels."""
        if self._is_shared:
            self._model.withdraw()
        else:
            self._model.forget()
        self._model.state(model)

    def observe_swap(self, outcome: SwapOutcome) -> None:
        """Count a new checkpoint that was swapped in or refused."""
        self._model.swaps.labels(outcome).inc()

    def enter(self) -> None:
        """Count a request in progress."""
        self._n_in_flight += 1
        if self._is_shared:
            self._in_flight.set(self._n_in_flight)

    def leave(self) -> None:
        """Stop counting a request that has ended, with or without success."""
        self._n_in_flight -= 1
        if self._is_shared:
            self._in_flight.set(self._n_in_flight)

    def observe(
        self, route: str, status: int, seconds: float | None, *, n_rows: int
    ) -> None:
        """
        Record one request.

        Args:
            route: A route of the service, never the client's path.
            seconds: Its duration; None if the connection refused it.
        """
        self._pending_requests.append(_Request(route, status, seconds, n_rows))
        if len(self._pending_requests) >= self._max_pending:
            self._count()

    def observe_batch(self, batch: Batch) -> None:
        """Record one batch of the micro-batcher."""
        self._pending_batches.append(batch)
        if len(self._pending_batches) >= self._max_pending:
            self._count()

    async def exposition(self) -> bytes:
        """
        Return all metrics in the text format of Prometheus.

        It is written in a thread, one text at a time: with several workers it takes
        many milliseconds.
        """
        async with self._writing:
            self._count()
            self._in_flight.set(self._n_in_flight)
            return await asyncio.to_thread(generate_latest, self._readable())

    def _readable(self) -> CollectorRegistry:
        """Return the registry of all workers."""
        if not self._is_shared:
            return self.registry
        all_workers = CollectorRegistry()
        directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        all_workers.register(_AllWorkers(directory))
        return all_workers

    def _count(self) -> None:
        self._count_requests(self._pending_requests)
        self._count_batches(self._pending_batches)
        self._pending_requests, self._pending_batches = [], []

    def _count_requests(self, pending: Sequence[_Request]) -> None:
        outcomes = Tally((request.route, request.status) for request in pending)
        for (route, status), n in outcomes.items():
            self._requests(route, status).inc(n)
            reason = self._reasons.get(status)
            if reason is not None:
                self._rejected(reason).inc(n)
        for route, requests in _group(pending, attrgetter("route")):
            seconds = [r.seconds for r in requests if r.seconds is not None]
            if seconds:
                self._seconds(route).observe_all(seconds)
            n_rows = sum(request.n_rows for request in requests)
            if n_rows:
                self._rows(route).inc(n_rows)

    def _count_batches(self, pending: Sequence[Batch]) -> None:
        for operation, batches in _group(pending, attrgetter("operation")):
            self._batch_rows(operation).observe_all([b.n_rows for b in batches])
            self._queue_seconds(operation).observe_all(
                [b.queue_seconds for b in batches]
            )
            self._compute_seconds(operation).observe_all(
                [b.compute_seconds for b in batches]
            )

    # Finding a metric's child by its labels costs as much as counting, so it is cached.

    def _counter(self, name: str, what: str, *labels: str) -> _Children[Counter]:
        counter = Counter(name, what, labels, registry=self.registry)
        return lru_cache(maxsize=None)(counter.labels)

    def _sum(self, name: str, what: str) -> Gauge:
        return Gauge(name, what, registry=self.registry, multiprocess_mode="livesum")

    def _histogram(
        self, name: str, what: str, label: str, buckets: Sequence[float]
    ) -> _Children[_Histogram]:
        histogram = _Histogram(
            name, what, (label,), buckets=buckets, registry=self.registry
        )
        return lru_cache(maxsize=None)(histogram.labels)


def _group(
    items: Iterable[_T], key: Callable[[_T], str]
) -> Iterable[tuple[str, Sequence[_T]]]:
    """Group items by a key."""
    groups: defaultdict[str, list[_T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups.items()
