"""
Where a request came from, as trusted proxies report it.

A proxy adds the address of its client to `X-Forwarded-For` and replaces
`X-Forwarded-Proto`. Anybody can send these headers, so they count only if the peer of
the connection is a trusted proxy, or is connected to a Unix socket. Of the list in
`X-Forwarded-For`, the last address that is not of a trusted proxy is the client's.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple, final

from starlette.types import Scope

_CACHE = 1024
_MAX_PROXIES = 64  # of a longer list, only the last are read
_SCHEMES = {b"http": "http", b"https": "https"}


@final
class RequestOrigin(NamedTuple):
    """The client's address, None if unknown, and the scheme of the URL that it used."""

    client: str | None
    scheme: str


@final
class ForwardedHeaders:
    """Reads the headers of proxies; `trusted` lists their networks, `*` is all."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusts_all = "*" in trusted
        self._networks = [ip_network(name) for name in trusted if name != "*"]
        self._is_trusted = lru_cache(_CACHE)(self._is_in_networks)

    def origin(self, scope: Scope) -> RequestOrigin:
        """Return where a request came from."""
        peer = scope.get("client")
        address = _address(peer[0]) if peer else None
        scheme = scope.get("scheme", "http")
        if peer and (address is None or not self._is_trusted(address)):
            return RequestOrigin(None if address is None else str(address), scheme)
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto":
                scheme = _SCHEMES.get(value.strip().lower(), scheme)
            elif name == b"x-forwarded-for":
                address = self._last_untrusted(value, address)
        return RequestOrigin(None if address is None else str(address), scheme)

    def _last_untrusted(
        self, listed: bytes, address: IPv4Address | IPv6Address | None
    ) -> IPv4Address | IPv6Address | None:
        """Return the client's address in a list, or the nearest one that is valid."""
        for text in reversed(listed.decode("latin-1").rsplit(",", _MAX_PROXIES)):
            found = _address(text)
            if found is None:
                break  # what is before it cannot be believed either
            address = found
            if not self._is_trusted(found):
                break
        return address

    def _is_in_networks(self, address: IPv4Address | IPv6Address) -> bool:
        return self._trusts_all or any(address in one for one in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, which may have a port; None if it is not valid."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
