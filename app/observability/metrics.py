"""
Prometheus metrics of the service, in a registry of its own.

What happens is noted at once and counted later, many at a time or when somebody asks:
counting one by one costs ten times as much. With several workers each counts at once,
for prometheus_client keeps their numbers in files of the directory that
PROMETHEUS_MULTIPROC_DIR names, and any of them may add them up.
"""

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

_NOTED = 64

_T = TypeVar("_T")
_Metric = TypeVar("_Metric", Counter, "_Histogram")
_Children = Callable[..., _Metric]

Outcome = Literal["swapped", "refused"]

_MODEL = "vae_model_info"


@final
class _Histogram(Histogram):
    """A histogram that takes many amounts for little more than the price of one."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe amounts, none of them NaN."""
        self._sum.inc(sum(amounts))
        buckets = Tally(bisect_left(self._upper_bounds, amount) for amount in amounts)
        for bucket, n in buckets.items():
            self._buckets[bucket].inc(n)


@final
class _Model:
    """The gauge of what is served, and the counter of what was to be."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(
            _MODEL,
            "What is served.",
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
        for outcome in get_args(Outcome):
            self.swaps.labels(outcome)  # an alert needs the 0 before the first

    def state(self, model: dict[str, str]) -> None:
        """Have it be 1 with these labels."""
        self._gauge.labels(**model).set(1)
        self._stated = model

    def forget(self) -> None:
        """Have it say nothing."""
        self._gauge.clear()

    def withdraw(self) -> None:
        """Have it be 0, where it is in files, which forget nothing."""
        if self._stated is not None:
            self._gauge.labels(**self._stated).set(0)


@final
class _Everyone(Collector):
    """What all workers count, without models that none of them serves any more."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        files = self._directory.glob("*.db")
        # Of a worker that is just starting a file may be there and hold nothing.
        begun = [str(file) for file in files if file.stat().st_size]
        for metric in MultiProcessCollector.merge(begun):  # type: ignore[no-untyped-call]  # untyped
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
    What is counted, and its exposition.

    Attributes:
        processes: What goes wrong with processes.
    """

    def __init__(self, *, n_workers: int) -> None:
        self.registry = CollectorRegistry()
        self._is_shared = n_workers > 1
        self._noted_requests: list[_Request] = []
        self._noted_batches: list[Batch] = []
        self._most_noted = 1 if self._is_shared else _NOTED
        self._requests = self._counter(
            "vae_requests", "Requests answered, by route and status.", "route", "status"
        )
        self._seconds = self._histogram(
            "vae_request_duration_seconds",
            "From the head of a request to the end of its answer.",
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
            "Requests being answered, the one for these metrics among them.",
        )
        self._rows = self._counter("vae_rows", "Rows answered.", "route")
        self._batch_rows = self._histogram(
            "vae_batch_rows", "Rows computed together.", "operation", _ROWS
        )
        self._queue_seconds = self._histogram(
            "vae_queue_seconds",
            "How long the oldest request of a batch waited for it.",
            "operation",
            _SECONDS,
        )
        self._compute_seconds = self._histogram(
            "vae_compute_seconds", "How long a batch took.", "operation", _SECONDS
        )
        self._model = _Model(self.registry)
        self.processes = ProcessMetrics(self.registry)

    def describe(self, **model: str) -> None:
        """State what is served now: a gauge that is 1, with these labels."""
        if self._is_shared:
            self._model.withdraw()
        else:
            self._model.forget()
        self._model.state(model)

    def observe_swap(self, outcome: Outcome) -> None:
        """Count a new checkpoint."""
        self._model.swaps.labels(outcome).inc()

    def enter(self) -> None:
        """Note that the answer to a request begins."""
        self._n_in_flight += 1
        if self._is_shared:
            self._in_flight.set(self._n_in_flight)

    def leave(self) -> None:
        """Note that it has ended, well or not."""
        self._n_in_flight -= 1
        if self._is_shared:
            self._in_flight.set(self._n_in_flight)

    def observe(
        self, route: str, status: int, seconds: float | None, *, n_rows: int
    ) -> None:
        """
        Note one request.

        Args:
            route: One of the app's own, never what came.
            seconds: What it took; None of what was refused before it was a request.
        """
        self._noted_requests.append(_Request(route, status, seconds, n_rows))
        if len(self._noted_requests) >= self._most_noted:
            self._count()

    def observe_batch(self, batch: Batch) -> None:
        """Note one batch of the micro-batcher."""
        self._noted_batches.append(batch)
        if len(self._noted_batches) >= self._most_noted:
            self._count()

    def exposition(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        self._count()
        self._in_flight.set(self._n_in_flight)
        if not self._is_shared:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        everyone.register(_Everyone(directory))
        return generate_latest(everyone)

    def _count(self) -> None:
        self._count_requests(self._noted_requests)
        self._count_batches(self._noted_batches)
        self._noted_requests, self._noted_batches = [], []

    def _count_requests(self, noted: Sequence[_Request]) -> None:
        outcomes = Tally((request.route, request.status) for request in noted)
        for (route, status), n in outcomes.items():
            self._requests(route, status).inc(n)
            reason = self._reasons.get(status)
            if reason is not None:
                self._rejected(reason).inc(n)
        for route, requests in _grouped(noted, attrgetter("route")):
            seconds = [r.seconds for r in requests if r.seconds is not None]
            if seconds:
                self._seconds(route).observe_all(seconds)
            n_rows = sum(request.n_rows for request in requests)
            if n_rows:
                self._rows(route).inc(n_rows)

    def _count_batches(self, noted: Sequence[Batch]) -> None:
        for operation, batches in _grouped(noted, attrgetter("operation")):
            _, _, n_rows, queue_seconds, compute_seconds = zip(*batches, strict=True)
            self._batch_rows(operation).observe_all(n_rows)
            self._queue_seconds(operation).observe_all(queue_seconds)
            self._compute_seconds(operation).observe_all(compute_seconds)

    # Finding a child by its labels costs as much as counting: both are cached.

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


def _grouped(
    items: Iterable[_T], key: Callable[[_T], str]
) -> Iterable[tuple[str, Sequence[_T]]]:
    """Return the items of each key."""
    groups: defaultdict[str, list[_T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups.items()
