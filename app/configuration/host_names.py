"""Parses host names, addresses, origins and path prefixes in settings."""

import re
from ipaddress import ip_network

from pydantic_core import PydanticCustomError

_HOST = r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
_HOST_NAME = re.compile(_HOST)
_ORIGIN = re.compile(rf"\*|[a-z][a-z0-9+.-]*://{_HOST}(?::[0-9]{{1,5}})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_OWN = ("/docs", "/explorer")  # files of the service have paths below these


def split(listed: object) -> object:
    """Split a comma-separated text; return other objects unchanged."""
    if not isinstance(listed, str):
        return listed
    return tuple(part for part in map(str.strip, listed.split(",")) if part)


def split_names(listed: object) -> object:
    """
    Split a comma-separated text; return other objects unchanged.

    Raises:
        PydanticCustomError: It has no name, and would not restrict anything.
    """
    names = split(listed)
    if isinstance(listed, str) and not names:
        wanted = "names of hosts without a port (unset it to allow any host)"
        raise PydanticCustomError("name", wanted)
    return names


def origin(text: str) -> str:
    """
    Return an origin as browsers send it.

    Raises:
        PydanticCustomError: It is not an origin (RFC 6454, 6.2) or `*`.
    """
    return _match(_ORIGIN, text, "origins such as https://example.org, or *")


def host_name(text: str) -> str:
    """
    Return a host name in lower case.

    Raises:
        PydanticCustomError: It is not a host name without a port.
    """
    return _match(_HOST_NAME, text, "names of hosts without a port")


def address(text: str) -> str:
    """Return an address to listen on; one of IPv6 may be in brackets, as in URLs."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def network(text: str) -> str:
    """
    Return an address, a network or `*`.

    Raises:
        PydanticCustomError: It is none of them.
    """
    try:
        return text if text == "*" else str(ip_network(text, strict=False))
    except ValueError:
        wanted = "addresses or networks such as 10.0.0.0/8, or *"
        raise PydanticCustomError("name", wanted) from None


def prefix(text: str) -> str:
    """
    Return a path prefix without a slash at its end; empty for none.

    Raises:
        PydanticCustomError: It is not a plain path, or is that of a page's files.
    """
    path = text.rstrip("/")
    if path and (not _PREFIX.fullmatch(path) or path in _OWN):
        wanted = f"a path such as /vae, and none of {', '.join(_OWN)}"
        raise PydanticCustomError("path", wanted)
    return path


def _match(pattern: re.Pattern[str], text: str, wanted: str) -> str:
    if not pattern.fullmatch(text.lower()):
        raise PydanticCustomError("name", wanted)
    return text.lower()
