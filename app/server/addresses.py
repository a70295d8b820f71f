"""The sockets that a server listens on, and how a URL names them."""

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from app.server.startup import StartError

_UNAVAILABLE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_BACKLOG = 2048


def bind(host: str, port: int) -> list[socket.socket]:
    """
    Return a bound socket for each address of a host; they do not listen yet.

    Raises:
        StartError: The host has no address on this machine, or the port is in use.
    """
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise StartError(f"cannot listen on {host}: {why}") from error
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                sockets.append(_bound(family, address))
            except OSError as error:
                # For example, an IPv6 address of a host that also has an IPv4 address,
                # on a machine without IPv6.
                is_last = address == found[-1][-1]
                if error.errno not in _UNAVAILABLE or (is_last and not sockets):
                    raise
    except OSError as error:
        for opened in sockets:
            opened.close()
        raise _unusable(host, port, error) from error
    return sockets


def listen(sockets: Sequence[socket.socket]) -> None:
    """
    Let clients connect; connections queue until the server accepts them.

    Raises:
        StartError: Another process listens on the same address by now.
    """
    for bound in sockets:
        try:
            bound.listen(_BACKLOG)
        except OSError as error:
            host, port = bound.getsockname()[:2]
            raise _unusable(host, port, error) from error


def lines(sockets: Sequence[socket.socket]) -> list[str]:
    """Return a line for the log for each address that is served."""
    return [f"listening on {_url(listening)}" for listening in sockets]


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    bracketed = f"[{host}]" if ":" in host else host
    return f"http://{bracketed}:{port}"


def _bound(family: int, address: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # IPv4 has a socket of its own
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
    except OSError:
        with suppress(OSError):
            opened.close()
        raise
    return opened


def _unusable(host: str, port: int, error: OSError) -> StartError:
    return StartError(f"cannot listen on {host} port {port}: {error.strerror}")
