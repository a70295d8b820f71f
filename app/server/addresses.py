"""The sockets that a server listens on, and how a URL names them."""

import errno
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.server.startup import StartError

_UNAVAILABLE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_BACKLOG = 2048
_ALL = "::"
# Who may connect is decided by the permissions of the directory.
_SOCKET_MODE = 0o666
_BOUND_SOCKETS = Path("/proc/net/unix")  # its sixth column is the state: proc(5)
_UNCONNECTED = b"01"


def bind(host: str, port: int) -> list[socket.socket]:
    """
    Return a bound socket for each address of a host; they do not listen yet.

    The one of `::` also accepts IPv4, if the system has both.

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
                sockets.append(_bind(family, address))
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


def bind_unix(path: Path) -> socket.socket:
    """
    Return a bound Unix socket; it does not listen yet.

    A socket that a killed service has left at the path is replaced.

    Raises:
        StartError: Another service listens there, or will once it has loaded, or the
            path cannot be used.
    """
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_socket(path):
            if opened.connect_ex(os.fspath(path)) == 0 or _is_bound(path):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            path.unlink()
        elif path.exists():
            raise OSError(
                errno.EEXIST, "there is a file, or a directory, that is no socket"
            )
        opened.bind(os.fspath(path))
        path.chmod(_SOCKET_MODE)
    except OSError as error:
        opened.close()
        why = error.strerror or str(error)
        raise StartError(f"cannot listen on the socket {path}: {why}") from error
    return opened


def _is_bound(path: Path) -> bool:
    """
    Return whether a process here has a socket at a path that does not listen yet.

    Clients are refused by it as by one that a killed process has left. Only Linux tells
    them apart; elsewhere a service that still loads is not found.
    """
    names = {os.fsencode(path), os.fsencode(path.absolute())}
    with suppress(OSError):
        for line in _BOUND_SOCKETS.read_bytes().splitlines():
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and fields[5] == _UNCONNECTED and fields[7] in names:
                return True
    return False


def _is_socket(path: Path) -> bool:
    return path.exists() and stat.S_ISSOCK(path.stat().st_mode)


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
            where = _where(bound)
            raise StartError(f"cannot listen on {where}: {error.strerror}") from error


def lines(sockets: Sequence[socket.socket]) -> list[str]:
    """Return a line for the log for each address that is served."""
    return [f"listening on {_where(listening)}" for listening in sockets]


def _where(listening: socket.socket) -> str:
    """Return the URL of a socket; of a Unix socket its path."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    bracketed = f"[{host}]" if ":" in host else host
    return f"http://{bracketed}:{port}"


def _bind(family: int, address: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own, except for the address of all interfaces.
            is_v6_only = address[0] != _ALL or not socket.has_dualstack_ipv6()
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, is_v6_only)
        opened.bind(address)
    except OSError:
        with suppress(OSError):
            opened.close()
        raise
    return opened


def _unusable(host: str, port: int, error: OSError) -> StartError:
    why = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        why += "; stop what listens there, or choose another port: --port, VAE_PORT"
    return StartError(f"cannot listen on {host} port {port}: {why}")
