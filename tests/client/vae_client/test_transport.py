"""What httpx raises becomes an error of the client."""

import httpx
import pytest

from vae_client import ConnectionFailedError, TimedOutError, VaeError
from vae_client.transport import connection_error


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
    """It carried no request, so the request is retried; other timeouts are not."""
    failed = connection_error(error)

    assert type(failed) is kind
    assert str(failed) == f"{type(error).__name__}: refused"


def test_an_error_without_text_has_its_name() -> None:
    """What httpx raises often says no more than its class."""
    assert str(connection_error(httpx.ReadError(""))) == "ReadError"
