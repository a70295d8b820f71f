"""Writes the error response for a request that never reaches the application."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast, final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.connection.cycle import response
from app.errors import CLOSE, ProblemError

REFUSAL = "vae.refusal"  # the key of a `Refusal` in the scope of a refused request


@final
class Refusal(NamedTuple):
    """A refusal, for metrics and log; `n_bytes` is the size of its body."""

    request_id: str
    status: int
    n_bytes: int


class Recorder(Protocol):
    """Assigns request ids, and records refusals."""

    def request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the client's request id if it is well-formed, else a new one."""

    def refusal_body(
        self, problem: ProblemError, path: str, request_id: str
    ) -> tuple[bytes, bytes]:
        """Return the media type and the body of an error for a path."""

    def note_refusal(self, refusal: Refusal) -> None:
        """Count and log a request that was refused before it was handled."""


def write(
    problem: ProblemError, connection: HttpToolsProtocol, running: Scope | None = None
) -> None:
    """
    Write an error response with `Connection: close`, and record it.

    Args:
        running: The scope of the refused request if the application already handles
            it; the application then records the refusal.
    """
    recorder = cast("Recorder", connection.app)
    fields = connection.headers if running is None else running["headers"]
    request_id = recorder.request_id(dict(fields))
    path = _path(connection.url) if running is None else running["path"]
    media_type, document = recorder.refusal_body(problem, path, request_id)
    refusal = Refusal(request_id, problem.status.value, len(document))
    if running is None:
        recorder.note_refusal(refusal)
    else:
        running[REFUSAL] = refusal
    headers = (
        *connection.server_state.default_headers,
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(document)),
        *CLOSE,
        (b"x-request-id", request_id.encode()),
        *problem.headers,
    )
    connection.transport.write(response(refusal.status, headers, document))


def _path(target: bytes) -> str:
    """Return the path of a target, which may be cut short or malformed."""
    return target.partition(b"?")[0].decode("latin-1")
