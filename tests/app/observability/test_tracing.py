"""Whether requests are traced, and what the service does with whatever traces them."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.http.request import Request
from app.observability import tracing
from app.observability.access_log import Line
from app.observability.timing import Timing
from tests.app.served import Served

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class Noting:
    """A tracer that keeps what it records."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, Timing, Line]] = []
        self.is_closed = False

    def record(self, request: Request, timing: Timing, line: Line, scheme: str) -> str:
        """Keep it."""
        assert scheme == "http"
        self.recorded.append((request.path, timing, line))
        return TRACE_ID

    def close(self) -> None:
        """Stop recording."""
        self.is_closed = True


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "mine", "OTEL_TRACES_SAMPLER": "always_on"}, ()),
        (ENDPOINT, ("otlp_proto_http",)),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector/v1/traces"},
            ("otlp_proto_http",),
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ()),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector"}, ()),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp_proto_http",)),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp_proto_http")),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": ""}, ("otlp_proto_http",)),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, ()),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, ()),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, ("otlp_proto_http",)),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("otlp_proto_grpc",)),
        (
            {
                **ENDPOINT,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            ("otlp_proto_http",),
        ),
    ],
)
def test_the_variables_of_opentelemetry_say_where_to(
    environ: Mapping[str, str], names: tuple[str, ...]
) -> None:
    """As its specification has them; an empty one counts as unset."""
    assert tracing.exporters(environ) == names


def test_what_cannot_be_traced_is_served_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An exporter that is not installed is a warning, not the end."""
    with caplog.at_level(logging.WARNING):
        tracer = tracing.from_environment({"OTEL_TRACES_EXPORTER": "to-the-moon"})

    assert tracer is None
    [record] = [r for r in caplog.records if r.name == "app.observability.tracing"]
    assert "tracing failed" in record.getMessage()


@pytest.mark.slow("starts processes")
def test_nothing_is_imported_that_nobody_asked_for() -> None:
    """Without its variables the SDK of OpenTelemetry is not even looked for."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    program = (
        "import os, sys; from app.observability import tracing\n"
        "assert tracing.from_environment(os.environ) is None\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', "
        "'opentelemetry.exporter', 'app.observability.spans'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=others,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_every_request_is_told_once_with_the_line_of_the_log(
    checkpoints: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Hot and cold, good and bad; the line in the log names the trace."""
    tracer = Noting()
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/encode", {"json": {"x": [[0.5] * 16]}}),
        ("POST", "/encode", {"json": {"x": 1}}),
        ("GET", "/model", {}),
        ("GET", "/nope", {}),
    ]

    with Served(checkpoints / "bernoulli", tracer=tracer, access_log=True) as served:
        for method, path, arguments in asked:
            served.request(method, path, **arguments)
        closed = [tracer.is_closed]
    closed.append(tracer.is_closed)

    assert closed == [False, True]
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [path for path, _, _ in tracer.recorded] == [path for _, path, _ in asked]
    assert [len(timing.trips) for _, timing, _ in tracer.recorded] == [1, 0, 0, 0]
    for (_, _, recorded), written in zip(tracer.recorded, lines, strict=True):
        traced = recorded._replace(trace_id=TRACE_ID)
        assert json.loads(traced.json()) == written
        assert written["trace_id"] == TRACE_ID


def test_requests_are_traced_without_a_log(checkpoints: Path) -> None:
    """Neither needs the other."""
    tracer = Noting()

    with Served(checkpoints / "bernoulli", tracer=tracer) as served:
        served.get("/sample?n=3")

    [(_, _, line)] = tracer.recorded
    assert (line.method, line.route, line.status, line.n_rows) == (
        "GET",
        "/sample",
        200,
        3,
    )
