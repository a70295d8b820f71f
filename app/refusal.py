"""A problem as the bytes of a whole response, for what never becomes a request."""

import secrets
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import MEDIA_TYPE, ProblemError


def response(problem: ProblemError, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a response that tells a problem and closes; `headers` come first."""
    request_id = secrets.token_hex(8)
    document = problem.document(instance="", request_id=request_id)
    lines = b"".join(
        b"%b: %b\r\n" % field
        for field in (
            *headers,
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % len(document)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *problem.headers,
        )
    )
    return b"%b%b\r\n%b" % (STATUS_LINE[problem.status], lines, document)
