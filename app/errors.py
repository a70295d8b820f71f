"""
All errors of requests, and the document that reports them.

    ProblemError
    ├── BadRequestError            400  not valid HTTP, or ambiguous
    ├── UnauthorizedError          401  no valid key, with WWW-Authenticate
    ├── NotFoundError              404  no such path
    ├── MethodNotAllowedError      405  with Allow
    ├── NotAcceptableError         406  lists the available formats
    ├── RequestTimeoutError        408  the head or the body came too slowly
    ├── ContentTooLargeError       413  body, rows, output or work over a limit
    ├── TargetTooLongError         414  the target alone is over the limit of a head
    ├── UnsupportedMediaTypeError  415  lists the accepted formats
    ├── MisdirectedError           421  for another host
    ├── UnprocessableError         422  invalid values, each with a JSON pointer
    ├── OverloadedError            429  too much work at a time, with Retry-After
    ├── HeadersTooLargeError       431  the head or its trailers are over a limit
    ├── InternalError              500  a bug; only a request id
    ├── UnavailableError           503  loading, draining or full, with Retry-After
    └── DeadlineError              504  the response took too long
    DisconnectedError                   the client has disconnected; no response

A problem is `application/problem+json` (RFC 9457). Of the input it repeats only the
invalid number or a short key. It is always small: texts are cut, and it lists only as
many faults as fit in `MAX_BYTES`.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar, NamedTuple, Never, final
from urllib.parse import quote

import orjson

MEDIA_TYPE = b"application/problem+json"
OPEN_INFERENCE = "/v2"
MAX_FAULTS = 3
MAX_BYTES = 960
_MAX_DETAIL = 180
_MAX_DETAIL_ALONE = 400  # where there are no faults
_MAX_PATH = 80

Headers = tuple[tuple[bytes, bytes], ...]
# Sent with a refusal before the body is read, as the body would be parsed as the next
# request; and with every response while the service is leaving.
CLOSE: Headers = ((b"connection", b"close"),)


class Fault(NamedTuple):
    """An error in a request: where, as a JSON pointer, and what."""

    pointer: str
    detail: str


class ProblemError(Exception):
    """A request failed; `detail` says what was expected and what was received."""

    status: ClassVar[HTTPStatus]

    def __init__(
        self, detail: str, *, faults: Sequence[Fault] = (), headers: Headers = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults[:MAX_FAULTS])
        self.headers = headers

    def body(self, path: str, *, instance: str, request_id: str) -> tuple[bytes, bytes]:
        """
        Return the media type and the body of the response to a request for a path.

        Below `/v2` it is an error of the Open Inference Protocol, else a problem
        document.
        """
        if path != OPEN_INFERENCE and not path.startswith(f"{OPEN_INFERENCE}/"):
            return MEDIA_TYPE, self.document(instance=instance, request_id=request_id)
        detail = self.detail
        if self.status is HTTPStatus.INTERNAL_SERVER_ERROR:
            detail += f", {request_id}"
        error = {"error": _cut(detail, _MAX_DETAIL_ALONE)}
        return b"application/json", orjson.dumps(error)

    def document(self, *, instance: str, request_id: str) -> bytes:
        """Return the problem document (RFC 9457) of this error for one request."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": _cut(
                self.detail, _MAX_DETAIL if self.faults else _MAX_DETAIL_ALONE
            ),
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
    """The request is not valid HTTP, or ambiguous."""

    status = HTTPStatus.BAD_REQUEST


@final
class UnauthorizedError(ProblemError):
    """The request has no valid key."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers=((b"www-authenticate", b"Bearer"),))


@final
class NotFoundError(ProblemError):
    """No resource has this path."""

    status = HTTPStatus.NOT_FOUND


@final
class MethodNotAllowedError(ProblemError):
    """The path exists, but not with this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


@final
class NotAcceptableError(ProblemError):
    """The response is not available in a format that the client accepts."""

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
    """The target of the request is longer than the limit of a head."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


@final
class UnsupportedMediaTypeError(ProblemError):
    """The body's type or encoding is not supported."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


@final
class MisdirectedError(ProblemError):
    """The request is for another host (RFC 9110, 7.4)."""

    status = HTTPStatus.MISDIRECTED_REQUEST


@final
class UnprocessableError(ProblemError):
    """The body or the query is invalid."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, *faults: Fault) -> None:
        first = faults[0]
        where = f"{first.pointer}: " if first.pointer else ""
        super().__init__(where + first.detail, faults=faults)


def refuse(pointer: str, detail: str) -> Never:
    """
    Refuse a request because of one value.

    Raises:
        UnprocessableError: In every case.
    """
    raise UnprocessableError(Fault(pointer, detail))


@final
class OverloadedError(ProblemError):
    """The service is at its limit of work; the client may try again."""

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
    """A bug in the service; it is logged under the request id."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self) -> None:
        super().__init__("internal error; see the service's log for this request_id")


@final
class UnavailableError(ProblemError):
    """The service is starting, stopping or full."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail, headers=(_retry_after(retry_after_seconds),))


@final
class DeadlineError(ProblemError):
    """The response was not ready within the time limit."""

    status = HTTPStatus.GATEWAY_TIMEOUT


@final
class DisconnectedError(Exception):
    """The client closed the connection before the response was sent."""


def out_of_memory() -> UnavailableError:
    """Return the error for a request that needs more memory than available."""
    return UnavailableError(
        "not enough memory for this request; send a smaller one, or try again",
        retry_after_seconds=1,
    )


def reasons() -> dict[int, str]:
    """Return a short name for the status of each error, for the metrics."""
    return {
        problem.status.value: _words(problem.__name__.removesuffix("Error"))
        for problem in ProblemError.__subclasses__()
    }


def number(value: float) -> str:
    """Format a number for an error message."""
    return f"{value:.9g}"


def _retry_after(seconds: int) -> tuple[bytes, bytes]:
    return (b"retry-after", str(seconds).encode())


def _words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 3] + "..."
