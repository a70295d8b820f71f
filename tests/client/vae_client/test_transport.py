"""What httpx raises becomes an error of the client."""

import httpx
import pytest

from vae_client import ConnectionFailedError, TimedOutError, VaeError
from vae_client.client_settings import ClientSettings
from vae_client.http_messages import HttpRequest
from vae_client.transport import connection_error, httpx_options

REQUEST = HttpRequest("POST", "/encode")
SETTINGS = ClientSettings("http://vae.example:9", timeout=7)


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
    failed = connection_error(error, REQUEST, SETTINGS)

    assert type(failed) is kind
    assert f"({type(error).__name__}: refused)" in str(failed)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            httpx.ConnectError("refused"),
            (
                "cannot connect to http://vae.example:9 (ConnectError: refused); "
                "is the service running there?"
            ),
        ),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
            (
                "cannot connect to http://vae.example:9 (ConnectError: [SSL: "
                "CERTIFICATE_VERIFY_FAILED] self-signed); "
                "SSL_CERT_FILE can name the file of an authority"
            ),
        ),
        (
            httpx.ReadError(""),
            (
                "http://vae.example:9 ended the connection during /encode (ReadError); "
                "is the service still running there?"
            ),
        ),
        (
            httpx.ReadTimeout(""),
            (
                "no response from http://vae.example:9 to /encode within 7 s "
                "(ReadTimeout); pass a longer timeout, or fewer rows"
            ),
        ),
    ],
)
def test_an_error_says_where_why_and_what_to_do(
    error: httpx.RequestError, said: str
) -> None:
    """The URL, the class of httpx's error with its text if it has one, a next step."""
    assert str(connection_error(error, REQUEST, SETTINGS)) == said


def test_responses_are_asked_for_as_they_are() -> None:
    """Arrays hardly shrink, so the client does not ask for compression."""
    assert httpx_options(SETTINGS)["headers"] == {"accept-encoding": "identity"}
