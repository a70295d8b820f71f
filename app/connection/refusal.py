"""A problem as a whole response, for what the application does not answer itself."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast, final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.connection.cycle import response
from app.errors import CLOSE, MEDIA_TYPE, ProblemError

REFUSAL = "vae.refusal"  # where the scope of a request that is refused has a `Refusal`


@final
class Refusal(NamedTuple):
    """What metrics and log learn of a refusal; `n_bytes` are those of its body."""

    request_id: str
    status: int
    n_bytes: int


class Recorder(Protocol):
    """Who names requests, and is told of those that were refused."""

    def request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the client's request id if it is a plain one, else a fresh one."""

    def note_refusal(self, refusal: Refusal) -> None:
        """Note what was refused and never became a request."""


def write(
    problem: ProblemError, connection: HttpToolsProtocol, running: Scope | None = None
) -> None:
    """
    Write a response that tells a problem and closes, and note it.

    Args:
        running: The request that is refused if it is the application's already, which
            then notes what became of it.
    """
    recorder = cast("Recorder", connection.app)
    fields = connection.headers if running is None else running["headers"]
    request_id = recorder.request_id(dict(fields))
    document = problem.document(instance="", request_id=request_id)
    refusal = Refusal(request_id, problem.status.value, len(document))
    if running is None:
        recorder.note_refusal(refusal)
    else:
        running[REFUSAL] = refusal
    headers = (
        *connection.server_state.default_headers,
        (b"content-type", MEDIA_TYPE),
        (b"content-length", b"%d" % len(document)),
        *CLOSE,
        (b"x-request-id", request_id.encode()),
        *problem.headers,
    )
    connection.transport.write(response(refusal.status, headers, document))
