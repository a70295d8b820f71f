"""
Every way a request can fail, and the one shape it is told in.

    ProblemError
    ├── BadRequestError            400  no HTTP request, or one of two meanings
    ├── UnauthorizedError          401  no key that is known, with WWW-Authenticate
    ├── NotFoundError              404  no such path
    ├── MethodNotAllowedError      405  with Allow
    ├── NotAcceptableError         406  names what can be had
    ├── RequestTimeoutError        408  the head or the body came too slowly
    ├── ContentTooLargeError       413  body, rows, output or work over a limit
    ├── TargetTooLongError         414  the target alone is over the limit of a head
    ├── UnsupportedMediaTypeError  415  names what can be sent
    ├── MisdirectedError           421  for a host that is not served here
    ├── UnprocessableError         422  faults, each with a JSON pointer
    ├── OverloadedError            429  as much is asked as is taken, with Retry-After
    ├── HeadersTooLargeError       431  the head or its trailers are over a limit
    ├── InternalError              500  nothing but a request id
    ├── UnavailableError           503  loading, draining or full, with Retry-After
    └── DeadlineError              504  the answer took longer than is allowed
    DisconnectedError                   the client has gone; nobody is told

A problem is `application/problem+json` (RFC 9457). It never repeats input but for the
offending number and a short key, and it is small however bad the request: texts are
cut, and of the faults only as many are told as fit `MAX_BYTES`.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar, NamedTuple, final
from urllib.parse import quote

import orjson

MEDIA_TYPE = b"application/problem+json"
MAX_FAULTS = 3
MAX_BYTES = 960
_MAX_DETAIL = 180
_MAX_PATH = 80

Headers = tuple[tuple[bytes, bytes], ...]
# Of a refusal while a body is on its way, which would be read as the next request; and
# of every answer of a service that is leaving.
CLOSE: Headers = ((b"connection", b"close"),)


class Fault(NamedTuple):
    """One thing wrong in a request: where, as a JSON pointer, and what."""

    pointer: str
    detail: str


class ProblemError(Exception):
    """A request cannot be answered; `detail` says what was wanted and what came."""

    status: ClassVar[HTTPStatus]

    def __init__(
        self, detail: str, *, faults: Sequence[Fault] = (), headers: Headers = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults[:MAX_FAULTS])
        self.headers = headers

    def document(self, *, instance: str, request_id: str) -> bytes:
        """Return the problem document (RFC 9457) of this error for one request."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": _cut(self.detail, _MAX_DETAIL),
            "instance": _cut(quote(instance, safe="/"), _MAX_PATH),
            "request_id": request_id,
        }
        document = orjson.dumps(problem)
        faults: list[dict[str, str]] = []
        for fault in self.faults:
            faults.append(
                {
                    "pointer": _cut(fault.pointer, _MAX_PATH),
                    "detail": _cut(fault.detail, _MAX_DETAIL),
                }
            )
            longer = orjson.dumps({**problem, "errors": faults})
            if len(longer) > MAX_BYTES:
                break
            document = longer
        return document


@final
class BadRequestError(ProblemError):
    """What came is no HTTP request, or can be read as two different ones."""

    status = HTTPStatus.BAD_REQUEST


@final
class UnauthorizedError(ProblemError):
    """No key came with the request, or none that is known."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers=((b"www-authenticate", b"Bearer"),))


@final
class NotFoundError(ProblemError):
    """No resource has this path."""

    status = HTTPStatus.NOT_FOUND


@final
class MethodNotAllowedError(ProblemError):
    """The path exists, for other methods."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


@final
class NotAcceptableError(ProblemError):
    """The answer cannot be given in any type the client accepts."""

    status = HTTPStatus.NOT_ACCEPTABLE


@final
class RequestTimeoutError(ProblemError):
    """The head or the body of a request did not come in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


@final
class ContentTooLargeError(ProblemError):
    """The body, the batch, the output or the work is over a limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@final
class TargetTooLongError(ProblemError):
    """The target of a request is longer than a head may be."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


@final
class UnsupportedMediaTypeError(ProblemError):
    """The body's type or encoding is not one that is read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


@final
class MisdirectedError(ProblemError):
    """The request is for a host that is not served here (RFC 9110, 7.4)."""

    status = HTTPStatus.MISDIRECTED_REQUEST


@final
class UnprocessableError(ProblemError):
    """The body or the query has faults."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, *faults: Fault) -> None:
        first = faults[0]
        where = f"{first.pointer}: " if first.pointer else ""
        super().__init__(where + first.detail, faults=faults)


@final
class OverloadedError(ProblemError):
    """As many requests wait as may wait; this one may be asked again."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(
        self, detail: str, *, retry_after_seconds: int, headers: Headers = ()
    ) -> None:
        after = _retry_after(retry_after_seconds)
        super().__init__(detail, headers=(after, *headers))


@final
class HeadersTooLargeError(ProblemError):
    """The headers or trailers of a request are too many or too long."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


@final
class InternalError(ProblemError):
    """A defect of the service; the log has it under the request id."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self) -> None:
        super().__init__("the service failed; its log says more under this request_id")


@final
class UnavailableError(ProblemError):
    """The service is starting, stopping or full."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail, headers=(_retry_after(retry_after_seconds),))


@final
class DeadlineError(ProblemError):
    """The answer was not there in the time that it may take."""

    status = HTTPStatus.GATEWAY_TIMEOUT


@final
class DisconnectedError(Exception):
    """The client closed the connection before its request was complete."""


def out_of_memory() -> UnavailableError:
    """Return what to say to a request for which there is not enough memory."""
    return UnavailableError(
        "expected to need less memory than there is; ask for less, or again",
        retry_after_seconds=1,
    )


def reasons() -> dict[int, str]:
    """Return a short name for each status that a problem has, for the metrics."""
    return {
        problem.status.value: _words(problem.__name__.removesuffix("Error"))
        for problem in ProblemError.__subclasses__()
    }


def number(value: float) -> str:
    """Return a number as an error may repeat it."""
    return f"{value:.9g}"


def _retry_after(seconds: int) -> tuple[bytes, bytes]:
    return (b"retry-after", str(seconds).encode())


def _words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 3] + "..."
