"""
Traces of requests (W3C Trace Context), if OpenTelemetry is installed and configured.

The standard OTEL_* variables configure it. Without them, OpenTelemetry is not imported.
"""

import logging
from collections.abc import Mapping
from typing import Protocol

from app.observability.access_log import Line
from app.observability.timing import Timing

logger = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class TracedRequest(Protocol):
    """The part of a request that a tracer reads."""

    method: str
    headers: dict[bytes, bytes]

    def only(self, name: bytes) -> bytes | None:
        """Return a header that occurs exactly once; None otherwise."""


class Tracer(Protocol):
    """Records requests as spans, once they are answered."""

    def record(
        self, request: TracedRequest, timing: Timing, line: Line, scheme: str
    ) -> str:
        """Record a request that has just been answered; return its trace id."""

    def close(self) -> None:
        """Send the remaining spans; this may take seconds."""


def exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the names of the trace exporters that OTEL_* variables configure.

    `otlp` uses the configured protocol, by default `http/protobuf`.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    default = "otlp" if any(environ.get(name) for name in _ENDPOINTS) else "none"
    names = environ.get("OTEL_TRACES_EXPORTER") or default
    protocol = (
        environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    otlp = "otlp_proto_" + protocol.partition("/")[0]
    wanted = (name.strip() for name in names.split(","))
    return tuple(
        otlp if name == "otlp" else name for name in wanted if name not in {"", "none"}
    )


def from_environment(environ: Mapping[str, str]) -> Tracer | None:
    """
    Return a tracer as OTEL_* variables configure it; None if they do not.

    If that fails, log a warning and serve without traces: the variables are often set
    for everything in a cluster.
    """
    names = exporters(environ)
    if not names:
        return None
    try:
        from app.observability import spans  # noqa: PLC0415  an optional, large dependency

        return spans.spans_to(names)
    except (ImportError, ValueError) as error:
        logger.warning("OTEL_* variables are set, but tracing failed: %s", error)
        return None
