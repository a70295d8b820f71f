"""How long to wait before a retry, and when there is none."""

import pytest

from vae_client import ConnectionFailedError, TimedOutError, UnexpectedAnswerError
from vae_client.errors import ErrorDetails, status_error
from vae_client.retries import seconds_before_retry


def test_waits_double_and_are_spread() -> None:
    """Half to one and a half of 0.2, 0.4, ... s, on top of `Retry-After`."""
    broken = ConnectionFailedError()
    full = status_error(ErrorDetails(429, "", "", retry_after=3.0))

    assert seconds_before_retry(broken, 0, u=0.0) == pytest.approx(0.1)
    assert seconds_before_retry(broken, 0, u=1.0) == pytest.approx(0.3)
    assert seconds_before_retry(broken, 1, u=0.5) == pytest.approx(0.4)
    assert seconds_before_retry(full, 0, u=0.5) == pytest.approx(3.2)


def test_what_would_fail_again_is_not_retried() -> None:
    """Timeouts, other services and a long `Retry-After` are left to the caller."""
    long = status_error(ErrorDetails(503, "", "", retry_after=31.0))

    for failure in (TimedOutError(), UnexpectedAnswerError(), long):
        assert seconds_before_retry(failure, 0, u=0.5) is None


def test_four_statuses_are_temporary() -> None:
    """429, 502, 503 and 504 are retried, and no other status."""
    errors = [status_error(ErrorDetails(status, "", "")) for status in range(400, 600)]

    retried = {
        e.status for e in errors if seconds_before_retry(e, 0, u=0.5) is not None
    }

    assert retried == {429, 502, 503, 504}
