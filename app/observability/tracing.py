"""
Traces of requests (W3C Trace Context), where OpenTelemetry is installed and configured.

Its own variables, the OTEL_* of its specification, say whether and where to. Where they
do not, nothing of it is imported.
"""

import logging
from collections.abc import Mapping
from typing import Protocol

from app.observability.access_log import Line
from app.observability.timing import Timing

logger = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class TracedRequest(Protocol):
    """What a tracer reads of a request."""

    method: str
    headers: dict[bytes, bytes]

    def only(self, name: bytes) -> bytes | None:
        """Return a header that came once; None if it did not, or several times."""


class Tracer(Protocol):
    """Records requests as spans, once they are answered."""

    def record(self, request: TracedRequest, timing: Timing, line: Line) -> str:
        """Record a request that has just been answered; return its trace id."""

    def close(self) -> None:
        """Send what is not sent yet; this may take seconds."""


def exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the names of the exporters of traces that OTEL_* variables ask for.

    `otlp` comes with the protocol that is asked for, `http/protobuf` unless said.
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
    Return what tells requests as OTEL_* variables ask, None if they do not.

    Where these cannot be followed a warning says so: they are often set for all that
    runs in a cluster, and no reason not to serve.
    """
    names = exporters(environ)
    if not names:
        return None
    try:
        from app.observability import spans  # noqa: PLC0415  an extra, large, and wanted by few

        return spans.exported(names)
    except (ImportError, ValueError) as error:
        logger.warning("OTEL_* variables ask for traces, there are none: %s", error)
        return None
