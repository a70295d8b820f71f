"""
Every way a call can fail.

    VaeError
    ├── ConnectionFailedError    no answer: refused, cut off or unresolved
    ├── TimedOutError            no answer in time
    ├── UnexpectedAnswerError    an answer that is not this service's
    ├── LimitError               not asked: over a limit, and not to be split exactly
    └── ProblemError             the service, or what stands before it, said no
        ├── RequestError         4xx: another request is needed
        ├── OverloadedError      429, 503: the same request later; `retry_after`
        └── ServerError          any other 5xx

An argument that is no array of numbers is a `TypeError` or a `ValueError`, as in numpy.
"""

from typing import NamedTuple, final


class Fault(NamedTuple):
    """One thing wrong in a request: where, as a JSON pointer (RFC 6901), and what."""

    pointer: str
    detail: str


class Problem(NamedTuple):
    """
    A problem document (RFC 9457), or what is known where none came.

    Attributes:
        errors: With status 422, the faults; rows are counted as the caller gave them.
        request_id: What the service's log has it under.
        retry_after: Seconds to wait, where the answer says so.
    """

    status: int
    title: str
    detail: str
    errors: tuple[Fault, ...] = ()
    request_id: str | None = None
    retry_after: float | None = None


class VaeError(Exception):
    """A call has no result."""


@final
class ConnectionFailedError(VaeError):
    """The connection was refused or cut off, each time it was tried."""


@final
class TimedOutError(VaeError):
    """No answer came in time; it was not asked again, which would only add load."""


@final
class UnexpectedAnswerError(VaeError):
    """What answers at this address does not answer as this service does."""


@final
class LimitError(VaeError):
    """A request exceeds a limit of the service, and parts of it are other requests."""


class ProblemError(VaeError):
    """The answer was an error; the attributes are those of its problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.status = problem.status
        self.title = problem.title
        self.detail = problem.detail
        self.errors = problem.errors
        self.request_id = problem.request_id
        self.retry_after = problem.retry_after

    def __str__(self) -> str:
        known = "" if self.request_id is None else f" (request {self.request_id})"
        return f"{self.status} {self.title}: {self.detail}{known}"


@final
class RequestError(ProblemError):
    """The request is at fault (4xx)."""


@final
class OverloadedError(ProblemError):
    """The service takes no more requests just now (429) or is not ready (503)."""


@final
class ServerError(ProblemError):
    """The service, or what stands before it, failed (5xx)."""


def of(problem: Problem) -> ProblemError:
    """Return the error of a problem whose status is 400 to 599."""
    if problem.status in {429, 503}:
        return OverloadedError(problem)
    return (RequestError if problem.status < 500 else ServerError)(problem)
