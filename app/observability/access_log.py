"""
The access log: a line of JSON for every request, on standard output.

Lines are collected and written together: at most 100 ms after the first, or with the
64th. A line contains the route, never the target, data or keys.
"""

import asyncio
import select
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, final

import orjson

from app.observability.output import Output

OTHER = "other"  # the route of requests that match no route of the service
STANDARD_OUTPUT = 1
MAX_LINES = 64
MAX_SECONDS = 0.1

_OPTIONAL = ("trace_id", "key", "client")
_MS = 1000.0
_DIGITS = 3  # microseconds
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


@final
class Line(NamedTuple):
    """
    One request, as the log shows it.

    Attributes:
        time: When its response had been sent, in seconds since 1970.
        method: `-` if the connection refused it before it was handled.
        route: A route of the service, or `OTHER`; never the client's path.
        seconds: From the head of the request to the end of its response; None if the
            connection refused it before it was handled.
        queue_seconds: How long its rows waited; None if nothing was computed.
        compute_seconds: The duration of the batches that contained its rows.
        n_bytes: The size of the response body.
        trace_id: The id of its trace, if it is traced.
        key: The name of the access key, if it needed one and had it.
        client: The address of the client, if the log shall have it.
    """

    time: float
    request_id: str
    method: str
    route: str
    status: int
    seconds: float | None
    queue_seconds: float | None
    compute_seconds: float | None
    n_rows: int
    n_bytes: int
    trace_id: str | None = None
    key: str | None = None
    client: str | None = None

    def json(self) -> bytes:
        """Return the line as JSON with a newline."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(self.time, UTC),
            "request_id": self.request_id,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "duration_ms": _milliseconds(self.seconds),
            "queue_ms": _milliseconds(self.queue_seconds),
            "compute_ms": _milliseconds(self.compute_seconds),
            "rows": self.n_rows,
            "bytes": self.n_bytes,
        }
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                line[name] = value
        return orjson.dumps(line, option=_OPTIONS)


@final
class AccessLog:
    """Buffers lines for an output, which other processes may share."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def note(self, line: Line) -> None:
        """Add the line of a request; it is written soon."""
        self._lines.append(line)
        if self._is_closed:
            self._flush()
            self._output.flush()
        elif len(self._lines) >= MAX_LINES:
            self._flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(MAX_SECONDS, self._flush)

    def _flush(self) -> None:
        """Pass the buffered lines to the output."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        for piece, n_lines in _pieces(lines):
            self._output.write(piece, n_lines=n_lines)

    async def close(self) -> None:
        """Write the buffered lines, and from now on every line at once."""
        self._is_closed = True
        self._flush()
        await asyncio.to_thread(self._output.flush)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * _MS, _DIGITS)


def _pieces(lines: list[Line]) -> Iterator[tuple[bytes, int]]:
    """
    Yield whole lines joined to pieces of at most PIPE_BUF bytes, and how many they are.

    Writes of that size to a pipe are atomic (POSIX, write); longer ones may be mixed
    with those of another process.
    """
    piece, n_lines = b"", 0
    for line in lines:
        text = line.json()
        if len(piece) + len(text) > select.PIPE_BUF:
            yield piece, n_lines
            piece, n_lines = b"", 0
        piece += text
        n_lines += 1
    if piece:
        yield piece, n_lines
