"""
What is done about each answer: read it, ask again, or give up.

The steps are generators that yield a `Request`, to be sent what came of it, or a
`Pause`; so the blocking client and the asynchronous one share every
decision and differ in how they send and how they wait. A call asked again is the same
request with the same seed, hence the same answer.
"""

from collections.abc import Generator
from secrets import SystemRandom
from time import monotonic
from typing import NamedTuple, TypeVar, final

from client.calls import READY, Call
from client.errors import (
    ConnectionFailedError,
    ProblemError,
    RequestError,
    TimedOutError,
    UnexpectedAnswerError,
    VaeError,
)
from client.messages import Request, Response, checked

RETRIED = frozenset({429, 502, 503, 504})
FIRST_WAIT_SECONDS = 0.2
MAX_RETRY_AFTER_SECONDS = 30.0
POLL_SECONDS = 0.1
_TOO_LARGE = 413

T = TypeVar("T")
_uniform = SystemRandom().random


@final
class Pause(NamedTuple):
    """Nothing is to be done for so long."""

    seconds: float


Outcome = Response | VaeError
Steps = Generator[Request | Pause, Outcome, T]


def performed(request: Request, call: Call[T], n_retries: int) -> Steps[T]:
    """
    Ask, again if it may help, in halves if it must be, and read the answer.

    Args:
        request: One of the call's.

    Raises:
        VaeError: The last try failed, or failed in a way that is not tried again.
    """
    try:
        return (yield from _whole(request, call, n_retries))
    except RequestError as refused:
        halves = call.halves(request) if refused.status == _TOO_LARGE else ()
        if not halves:
            raise
    parts = []
    for half in halves:
        parts.append((yield from performed(half, call, n_retries)))
    return call.join(parts)


def _whole(request: Request, call: Call[T], n_retries: int) -> Steps[T]:
    n_failed = 0
    while True:
        outcome = yield request
        try:
            return call.read(request, checked(request, outcome))
        except VaeError as failure:
            wait = wait_before_retry(failure, n_failed, u=_uniform())
            if wait is None or n_failed == n_retries:
                raise
        n_failed += 1
        yield Pause(wait)


def wait_before_retry(failure: VaeError, n_failed: int, *, u: float) -> float | None:
    """
    Return how many seconds to wait before asking again; None if that is no use.

    The wait doubles with each failure, 0.2 s on average at first, and comes on top of
    what the service asks for, so that clients sent away together do not come together.

    Args:
        n_failed: How many tries have failed before this one.
        u: A number drawn from U[0, 1), the jitter.
    """
    wait = FIRST_WAIT_SECONDS * float(2**n_failed) * (0.5 + u)
    if isinstance(failure, ConnectionFailedError):
        return wait
    if not isinstance(failure, ProblemError) or failure.status not in RETRIED:
        return None
    asked = failure.retry_after or 0.0
    return None if asked > MAX_RETRY_AFTER_SECONDS else asked + wait


def ready(timeout: float, *, at_most: float) -> Steps[None]:
    """
    Ask whether the service is ready until it is.

    Args:
        timeout: Seconds to go on for.
        at_most: Seconds to wait for one answer.

    Raises:
        TimedOutError: It did not get ready in time; its cause says what it was doing.
        RequestError, UnexpectedAnswerError: Waiting will not help.
    """
    end = monotonic() + timeout
    while True:
        left = max(end - monotonic(), POLL_SECONDS)
        outcome = yield READY._replace(timeout=min(left, at_most))
        try:
            checked(READY, outcome)
        except (RequestError, UnexpectedAnswerError):
            raise
        except VaeError as failure:
            left = end - monotonic()
            if left <= 0:
                raise TimedOutError(f"not ready within {timeout:g} s") from failure
        else:
            return
        yield Pause(min(POLL_SECONDS, left))
