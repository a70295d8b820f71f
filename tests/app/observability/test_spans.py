"""Requests as spans: their parents, children, names, times and attributes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import time_ns

import pytest

from tests import plain_http
from tests.app.processes import SECONDS, process
from tests.app.served import Served

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from app.observability.spans import Spans, resource, spans_to

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
X = {"x": [[0.5] * 16]}


class Traced:
    """A service whose spans stay in memory."""

    def __init__(self, served: Served, memory: InMemorySpanExporter) -> None:
        self.served = served
        self._memory = memory

    def spans(self, method: str, path: str, **arguments: object) -> list[ReadableSpan]:
        """Ask once; return the spans that this makes, the one of the request last."""
        self._memory.clear()
        self.served.request(method, path, **arguments)
        return list(self._memory.get_finished_spans())

    def span(self, method: str, path: str, **arguments: object) -> ReadableSpan:
        """Ask once; return the span of the request."""
        return self.spans(method, path, **arguments)[-1]


@pytest.fixture(scope="module")
def traced(checkpoints: Path) -> Iterator[Traced]:
    """Serve with spans that are kept as soon as they end."""
    memory, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with Served(checkpoints / "bernoulli", tracer=Spans(provider)) as served:
        yield Traced(served, memory)


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """Return the ids of a span's trace, of itself and of its parent."""
    assert span.context is not None
    parent = None if span.parent is None else format_span_id(span.parent.span_id)
    own = format_span_id(span.context.span_id)
    return format_trace_id(span.context.trace_id), own, parent


def times(span: ReadableSpan) -> tuple[int, int]:
    """Return when a span began and ended, in nanoseconds since 1970."""
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


def test_a_request_goes_on_with_the_trace_of_its_client(traced: Traced) -> None:
    """Its span is a child of the client's; queue and compute are children of it."""
    before = time_ns()

    spans = traced.spans(
        "POST", "/encode", json=X, headers={"traceparent": TRACEPARENT}
    )

    queue, compute, request = spans
    assert [span.name for span in spans] == ["queue", "compute", "POST /encode"]
    assert request.kind is SpanKind.SERVER
    assert ids(request)[0] == TRACE_ID
    assert ids(request)[2] == PARENT_ID
    for child in (queue, compute):
        assert child.kind is SpanKind.INTERNAL
        assert (ids(child)[0], ids(child)[2]) == (TRACE_ID, ids(request)[1])
    assert before <= times(request)[0] <= times(queue)[0] <= times(queue)[1]
    assert times(queue)[1] == times(compute)[0] < times(compute)[1]
    assert times(compute)[1] <= times(request)[1] <= time_ns()


def test_each_way_through_compute_is_told(traced: Traced) -> None:
    """Rows are encoded, then what lies between is decoded."""
    spans = traced.spans("POST", "/interpolate", json={"x": X["x"] * 2, "n": 4})

    assert [span.name for span in spans] == [
        *("queue", "compute") * 2,
        "POST /interpolate",
    ]


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        f"00-{TRACE_ID}-{PARENT_ID}",
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{PARENT_ID}-01",
        f"00-{TRACE_ID.upper()}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-01-more",
        TRACEPARENT * 100,
    ],
)
def test_a_malformed_traceparent_is_ignored(traced: Traced, traceparent: str) -> None:
    """The request begins a trace of its own, and is answered."""
    span = traced.span("POST", "/encode", json=X, headers={"traceparent": traceparent})

    assert ids(span)[0] != TRACE_ID
    assert ids(span)[2] is None
    assert span.attributes
    assert span.attributes["http.response.status_code"] == 200


def test_of_two_traceparents_none_is_taken(traced: Traced) -> None:
    """Which one is meant cannot be known."""
    headers = [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)]

    assert ids(traced.span("GET", "/sample", headers=headers))[2] is None


def test_headers_are_not_repeated_in_the_log(
    traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK would warn of each malformed tracestate, and say what came."""
    headers = {"traceparent": TRACEPARENT, "tracestate": "hush hush=1"}

    span = traced.span("GET", "/sample", headers=headers)

    assert ids(span)[2] == PARENT_ID
    assert not caplog.records


def test_what_is_not_sampled_is_not_told(
    checkpoints: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client's decision holds; its trace is still the one in the access log."""
    headers = {"traceparent": TRACEPARENT[:-1] + "0"}
    memory, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))

    with Served(
        checkpoints / "bernoulli", tracer=Spans(provider), access_log=True
    ) as served:
        served.post("/encode", X, headers=headers)

    assert memory.get_finished_spans() == ()
    assert json.loads(capfd.readouterr().out)["trace_id"] == TRACE_ID


def test_a_span_has_the_attributes_of_the_conventions(traced: Traced) -> None:
    """Those for a server of HTTP, and rows and request id; no target, no data."""
    span = traced.span(
        "POST", "/encode?binarize=hush", json=X, headers={"x-request-id": "mine"}
    )
    good = traced.span("POST", "/encode", json=X, headers={"x-request-id": "mine"})
    assert span.attributes is not None
    assert good.attributes is not None

    size = good.attributes["http.response.body.size"]
    assert dict(good.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.response.body.size": size,
        "http.route": "/encode",
        "url.path": "/encode",
        "url.scheme": "http",
        "network.protocol.name": "http",
        "vae.request_id": "mine",
        "vae.rows": 1,
    }
    assert isinstance(size, int)
    assert size > 0
    assert span.attributes["http.response.status_code"] == 422
    assert "hush" not in span.to_json()


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/model", "GET /model"),
        ("GET", "/hush", "GET"),
        ("BREW", "/hush", "HTTP"),
    ],
)
def test_what_came_is_in_no_name(
    traced: Traced, method: str, path: str, name: str
) -> None:
    """A route of the service names a span; a path or method that is none does not."""
    span = traced.span(method, path)

    assert span.name == name
    assert "hush" not in span.to_json()
    assert "BREW" not in span.to_json()


def test_only_faults_of_the_service_are_errors(traced: Traced) -> None:
    """A 4xx is the client's; a 504 is an error of the type of its status."""
    late = {"x-request-timeout": "0"}
    asked = {"x": [[0] * 16] * 50, "n_samples": 5000}

    bad = traced.span("POST", "/encode", json={})
    failed = traced.span("POST", "/elbo", json=asked, headers=late)

    assert bad.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "504"
    assert bad.attributes is not None
    assert "error.type" not in bad.attributes


def test_the_service_has_a_name_unless_it_is_given_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OTEL_SERVICE_NAME takes precedence over the default, vae-service."""
    default = resource().attributes
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")

    given = resource().attributes

    assert default["service.name"] == "vae-service"
    assert given["service.name"] == "mine"


def test_an_exporter_that_is_not_installed_is_named() -> None:
    """The error says which there are."""
    with pytest.raises(ValueError, match=r"among \[.*'console'.*\], got 'moon'"):
        spans_to(["moon"])


@pytest.mark.slow("starts processes")
def test_what_is_not_sent_yet_is_sent_at_the_end(checkpoints: Path) -> None:
    """A process that ends exports what it has, over OTLP, to the set address."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415  of an extra
        ExportTraceServiceRequest,
    )

    came: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(
                (self.path, self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002  its name
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        settings = {
            "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
        }
        with process(settings) as (address, _):
            plain_http.post(
                f"{address}/encode",
                json=X,
                headers={"traceparent": TRACEPARENT},
                timeout=SECONDS,
            )
            before = len(came)
        collector.shutdown()

    [(path, body)] = came
    spans = [
        span
        for service in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in service.scope_spans
        for span in scope.spans
    ]
    assert before == 0
    assert path == "/v1/traces"
    assert [span.name for span in spans] == ["queue", "compute", "POST /encode"]
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
