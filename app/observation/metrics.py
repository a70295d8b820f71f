"""
Prometheus metrics of the service, in a registry of its own.

What happens is noted at once and counted later, many at a time or when somebody asks:
counting one by one costs a lone request several times as much, with cold caches. With
several workers each counts at once, for prometheus_client keeps their numbers in files
of the directory that PROMETHEUS_MULTIPROC_DIR names, and any of them may add them up.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
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

from app.batching import Batch
from app.errors import reasons

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)

_NOTED = 64

_Metric = TypeVar("_Metric", Counter, Histogram)
_Children = Callable[..., _Metric]


Outcome = Literal["swapped", "refused"]

_MODEL = "vae_model_info"


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

    def collect(self) -> Iterator[Metric]:
        for metric in MultiProcessCollector(None).collect():  # type: ignore[no-untyped-call]  # untyped
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
    """What is counted, and its exposition."""

    def __init__(self, *, n_workers: int) -> None:
        self.registry = CollectorRegistry()
        self._is_shared = n_workers > 1
        self._noted: list[_Request | Batch] = []
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
        self._in_flight = Gauge(
            "vae_requests_in_flight",
            "Requests being answered, the one for these metrics among them.",
            registry=self.registry,
            multiprocess_mode="livesum",
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
        self._note(_Request(route, status, seconds, n_rows))

    def observe_batch(self, batch: Batch) -> None:
        """Note one batch of the micro-batcher."""
        self._note(batch)

    def exposition(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        self._count()
        self._in_flight.set(self._n_in_flight)
        if not self._is_shared:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        everyone.register(_Everyone())
        return generate_latest(everyone)

    def _note(self, noted: _Request | Batch) -> None:
        self._noted.append(noted)
        if len(self._noted) >= self._most_noted:
            self._count()

    def _count(self) -> None:
        for noted in self._noted:
            if isinstance(noted, Batch):
                self._count_batch(noted)
            else:
                self._count_request(noted)
        self._noted.clear()

    def _count_request(self, request: _Request) -> None:
        self._requests(request.route, request.status).inc()
        if request.seconds is not None:
            self._seconds(request.route).observe(request.seconds)
        reason = self._reasons.get(request.status)
        if reason is not None:
            self._rejected(reason).inc()
        if request.n_rows:
            self._rows(request.route).inc(request.n_rows)

    def _count_batch(self, batch: Batch) -> None:
        self._batch_rows(batch.operation).observe(batch.n_rows)
        self._queue_seconds(batch.operation).observe(batch.queue_seconds)
        self._compute_seconds(batch.operation).observe(batch.compute_seconds)

    # Finding a child by its labels costs as much as counting: both are cached.

    def _counter(self, name: str, what: str, *labels: str) -> _Children[Counter]:
        counter = Counter(name, what, labels, registry=self.registry)
        return lru_cache(maxsize=None)(counter.labels)

    def _histogram(
        self, name: str, what: str, label: str, buckets: Sequence[float]
    ) -> _Children[Histogram]:
        histogram = Histogram(
            name, what, (label,), buckets=buckets, registry=self.registry
        )
        return lru_cache(maxsize=None)(histogram.labels)
