"""Parses lists of host names and origins in settings."""

import re

from pydantic_core import PydanticCustomError

_HOST = r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
_HOST_NAME = re.compile(_HOST)
_ORIGIN = re.compile(rf"\*|[a-z][a-z0-9+.-]*://{_HOST}(?::[0-9]{{1,5}})?")


def split(listed: object) -> object:
    """Split a comma-separated text; return other objects unchanged."""
    if not isinstance(listed, str):
        return listed
    return tuple(part for part in map(str.strip, listed.split(",")) if part)


def split_names(listed: object) -> object:
    """
    Split a comma-separated text; return other objects unchanged.

    Raises:
        PydanticCustomError: It is empty, which would not restrict anything.
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
    return _matched(_ORIGIN, text, "origins such as https://example.org, or *")


def host_name(text: str) -> str:
    """
    Return a host name in lower case.

    Raises:
        PydanticCustomError: It is not a host name without a port.
    """
    return _matched(_HOST_NAME, text, "names of hosts without a port")


def _matched(pattern: re.Pattern[str], text: str, wanted: str) -> str:
    if not pattern.fullmatch(text.lower()):
        raise PydanticCustomError("name", wanted)
    return text.lower()
