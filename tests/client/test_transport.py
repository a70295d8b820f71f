"""What httpx raises, in the client's words."""

import httpx
import pytest

from client import ConnectionFailedError, TimedOutError, VaeError
from client.transport import failure


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), ConnectionFailedError),
        (httpx.ConnectTimeout("refused"), ConnectionFailedError),
        (httpx.ReadError("refused"), ConnectionFailedError),
        (httpx.RemoteProtocolError("refused"), ConnectionFailedError),
        (httpx.ReadTimeout("refused"), TimedOutError),
        (httpx.WriteTimeout("refused"), TimedOutError),
        (httpx.PoolTimeout("refused"), TimedOutError),
    ],
)
def test_a_connection_not_made_in_time_is_a_failed_connection(
    error: httpx.RequestError, kind: type[VaeError]
) -> None:
    """It carried no request, so it is asked again; other timeouts are not."""
    failed = failure(error)

    assert type(failed) is kind
    assert failed.__cause__ is error
    assert str(failed) == f"{type(error).__name__}: refused"


def test_an_error_without_words_has_its_name() -> None:
    """What httpx raises often says no more than its class."""
    assert str(failure(httpx.ReadError(""))) == "ReadError"
