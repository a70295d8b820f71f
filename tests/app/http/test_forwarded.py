"""Which address and scheme are believed, of those that proxies report."""

from typing import Any

import pytest

from app.http.forwarded import ForwardedHeaders, RequestOrigin

PROXY, CLIENT, OTHER = "10.0.0.1", "203.0.113.7", "198.51.100.9"


def origin(
    headers: dict[str, str],
    *,
    peer: tuple[str, int] | None = (PROXY, 80),
    trusted: tuple[str, ...] = ("10.0.0.0/8", "::1"),
) -> RequestOrigin:
    """Return where a request with these headers came from."""
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"client": peer, "scheme": "http", "headers": fields}
    return ForwardedHeaders(trusted).origin(scope)


@pytest.mark.parametrize(
    ("listed", "client"),
    [
        (CLIENT, CLIENT),
        (f"{OTHER}, {CLIENT}", CLIENT),  # what the client says itself is not believed
        (f"{CLIENT}, 10.1.2.3", CLIENT),  # a second proxy
        (f"{CLIENT}:4711", CLIENT),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", CLIENT),
        ("10.1.2.3, 10.4.5.6", "10.1.2.3"),  # the client is itself a proxy's host
        ("nonsense", PROXY),
        (f"{CLIENT}, nonsense", PROXY),
        ('"><script>', PROXY),
        ("", PROXY),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_client(
    listed: str, client: str
) -> None:
    """What is not an address is never repeated."""
    assert origin({"x-forwarded-for": listed}).client == client


def test_headers_count_only_from_trusted_proxies() -> None:
    """Another peer is the client, whatever it sends."""
    headers = {"x-forwarded-for": CLIENT, "x-forwarded-proto": "https"}

    assert origin(headers, peer=(OTHER, 1)) == RequestOrigin(OTHER, "http")
    assert origin(headers, trusted=()) == RequestOrigin(PROXY, "http")
    assert origin(headers) == RequestOrigin(CLIENT, "https")
    assert origin(headers, peer=("::1", 1)) == RequestOrigin(CLIENT, "https")
    assert origin(headers, peer=(OTHER, 1), trusted=("*",)) == RequestOrigin(
        CLIENT, "https"
    )


def test_the_peer_of_a_unix_socket_is_a_proxy() -> None:
    """It has no address, and only local processes reach it."""
    headers = {"x-forwarded-for": CLIENT, "x-forwarded-proto": "https"}

    assert origin(headers, peer=None) == RequestOrigin(CLIENT, "https")
    assert origin({}, peer=None) == RequestOrigin(None, "http")


@pytest.mark.parametrize("scheme", ["HTTPS ", "https"])
def test_only_known_schemes_are_believed(scheme: str) -> None:
    """Any case; nothing else is repeated."""
    assert origin({"x-forwarded-proto": scheme}).scheme == "https"
    assert origin({"x-forwarded-proto": "javascript"}).scheme == "http"
