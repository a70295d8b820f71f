"""Records requests as OpenTelemetry spans; the only module that imports it."""

import logging
from collections.abc import Sequence
from importlib.metadata import entry_points
from time import perf_counter, time_ns
from typing import final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    SpanKind,
    StatusCode,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from app.observability.access_log import OTHER, Line
from app.observability.timing import Timing
from app.observability.tracing import TracedRequest

_EXPORTERS = "opentelemetry_traces_exporter"  # the group of entry points
_DEFAULT_SERVICE_NAME = "vae-service"
# The methods of the semantic conventions for HTTP; others are recorded as _OTHER.
_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)
_SERVER_ERROR = 500
_NS = 1e9


@final
class Spans:
    """
    Records each request as a server span, with queue and compute times as children.

    A span is created after its request has been answered, with the recorded times. It
    contains what the access log contains and no more: of the target only the route.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("app")
        self._propagator = TraceContextTextMapPropagator()
        # Warnings repeat the client's headers: any client could fill the log.
        logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)

    def record(
        self, request: TracedRequest, timing: Timing, line: Line, scheme: str
    ) -> str:
        """Record a request that has just been answered; return its trace id."""
        # The offset between the clocks is measured each time: wall time may be set.
        now = time_ns()
        offset = now - int(perf_counter() * _NS)
        method = request.method if request.method in _METHODS else "_OTHER"
        name = method if method in _METHODS else "HTTP"
        span = self._tracer.start_span(
            name if line.route == OTHER else f"{name} {line.route}",
            context=self._propagator.extract(request, Context(), _GETTER),
            kind=SpanKind.SERVER,
            start_time=offset + int(timing.start * _NS),
            attributes=_attributes(method, line, scheme),
        )
        if span.is_recording():
            if line.status >= _SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
            self._record_trips(timing, set_span_in_context(span, Context()), offset)
        span.end(now)
        return format_trace_id(span.get_span_context().trace_id)

    def _record_trips(self, timing: Timing, within: Context, offset: int) -> None:
        for queued, started, ended in timing.trips:
            begin, middle, end = (
                offset + int(seconds * _NS) for seconds in (queued, started, ended)
            )
            self._tracer.start_span("queue", within, start_time=begin).end(middle)
            self._tracer.start_span("compute", within, start_time=middle).end(end)

    def close(self) -> None:
        """Send the remaining spans; this may take seconds."""
        self._provider.shutdown()


def spans_to(names: Sequence[str]) -> Spans:
    """
    Return `Spans` that send to the exporters with these names, in the background.

    Raises:
        ValueError: No installed package has an exporter with one of the names.
    """
    provider = TracerProvider(resource=resource(), shutdown_on_exit=False)
    for exporter in [_exporter(name) for name in names]:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return Spans(provider)


def resource() -> Resource:
    """Return the attributes of this service; OTEL_* variables take precedence."""
    ours = Resource.create({SERVICE_NAME: _DEFAULT_SERVICE_NAME})
    return ours.merge(OTELResourceDetector().detect())


def _exporter(name: str) -> SpanExporter:
    """Return the exporter of an installed package, configured by OTEL_* variables."""
    known = entry_points(group=_EXPORTERS)
    if name not in known.names:
        raise ValueError(
            f"expected exporters among {sorted(known.names)}, got {name[:40]!r}"
        )
    exporter: SpanExporter = known[name].load()()
    return exporter


@final
class _Headers(Getter[TracedRequest]):
    """Reads headers that occur exactly once; repeated ones are ambiguous."""

    def get(self, carrier: TracedRequest, key: str) -> list[str] | None:
        value = carrier.only(key.encode())
        return None if value is None else [value.decode("latin-1")]

    def keys(self, carrier: TracedRequest) -> list[str]:
        return [name.decode("latin-1") for name in carrier.headers]


_GETTER = _Headers()


def _attributes(method: str, line: Line, scheme: str) -> dict[str, AttributeValue]:
    """Return the attributes of a server span (semantic conventions 1.44, HTTP)."""
    attributes: dict[str, AttributeValue] = {
        "http.request.method": method,
        "http.response.status_code": line.status,
        "http.response.body.size": line.n_bytes,
        "url.scheme": scheme,
        "network.protocol.name": "http",
        "vae.request_id": line.request_id,
        "vae.rows": line.n_rows,
    }
    if line.client is not None:
        attributes["client.address"] = line.client
    if line.route != OTHER:
        attributes["http.route"] = attributes["url.path"] = line.route
    if line.status >= _SERVER_ERROR:
        attributes["error.type"] = str(line.status)
    return attributes
