"""
Every way a call can fail.

    VaeError
    ├── ConnectionFailedError    no response: refused, cut off or host not found
    ├── TimedOutError            no response in time
    ├── UnexpectedAnswerError    a response that is not from this service
    ├── ModelChangedError        another model was loaded during the call
    ├── LimitError               not sent: above a limit, and cannot be split exactly
    └── StatusError              an error status, from the service or a proxy before it
        ├── RequestError         4xx: the request must be changed
        ├── ServiceBusyError     429, 503: send the same request later; `retry_after`
        └── ServerError          any other 5xx

An argument that is not an array of numbers raises `TypeError` or `ValueError`, as numpy
does.
"""

from typing import NamedTuple, final


class RequestFault(NamedTuple):
    """One fault in a request: where, as a JSON pointer (RFC 6901), and what."""

    pointer: str
    detail: str


class ErrorDetails(NamedTuple):
    """
    A problem document (RFC 9457), or what is known if the response has none.

    Attributes:
        errors: With status 422, the faults; rows are counted in the caller's array.
        request_id: The id of the request in the service's log.
        retry_after: Seconds to wait, if the response says so.
    """

    status: int
    title: str
    detail: str
    errors: tuple[RequestFault, ...] = ()
    request_id: str | None = None
    retry_after: float | None = None


class VaeError(Exception):
    """A call failed; the base of all errors of this package."""


@final
class ConnectionFailedError(VaeError):
    """The connection was refused or cut off at every try."""


@final
class TimedOutError(VaeError):
    """No response came in time. There is no retry, which would only add load."""


@final
class UnexpectedAnswerError(VaeError):
    """The server at this URL does not respond as this service does."""


@final
class ModelChangedError(VaeError):
    """The service loaded another model during the call; its result would mix both."""


@final
class LimitError(VaeError):
    """The request is above a limit of the service and has no exact pieces."""


class StatusError(VaeError):
    """The response has an error status; the attributes are those of `ErrorDetails`."""

    def __init__(self, details: ErrorDetails) -> None:
        super().__init__(details)
        self.status = details.status
        self.title = details.title
        self.detail = details.detail
        self.errors = details.errors
        self.request_id = details.request_id
        self.retry_after = details.retry_after

    def __str__(self) -> str:
        known = "" if self.request_id is None else f" (request {self.request_id})"
        return f"{self.status} {self.title}: {self.detail}{known}"


@final
class RequestError(StatusError):
    """The request is wrong (4xx)."""


@final
class ServiceBusyError(StatusError):
    """The service has too many requests (429) or is not ready (503)."""


@final
class ServerError(StatusError):
    """The service, or a proxy before it, failed (5xx)."""


def status_error(details: ErrorDetails) -> StatusError:
    """Return the error for a status from 400 to 599."""
    if details.status in {429, 503}:
        return ServiceBusyError(details)
    return (RequestError if details.status < 500 else ServerError)(details)
