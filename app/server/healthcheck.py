"""
`python -m app.server.healthcheck`: check whether the service here is ready.

For containers: the exit status is 0 if it is ready. It finds out where the service
listens from its options, as the command line of process 1 has them, or else from its
variables. It imports only the standard library, because it runs every few seconds.
`http.client` is used and not `urllib`, which would obey a proxy variable even here.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import final

_SECONDS = 2
_COMMAND_LINE = Path("/proc/1/cmdline")
_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  replaced by loopback


@final
class _UnixConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def connection(arguments: Sequence[str], environ: Mapping[str, str]) -> HTTPConnection:
    """Return a connection to the service with these options and variables."""

    def setting(name: str, default: str) -> str:
        option = f"--{name}"
        for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
            if argument == option:
                return following
            if argument.startswith(f"{option}="):
                return argument.partition("=")[2]
        return environ.get(f"VAE_{name.upper()}") or default

    path = setting("uds", "")
    if path:
        return _UnixConnection(path)
    host = setting("host", "127.0.0.1").strip("[]")
    port = int(setting("port", "8000"))
    return HTTPConnection(_ALL.get(host, host), port, timeout=_SECONDS)


def main() -> int:
    """Return 0 if the service is ready, else 1."""
    try:
        arguments = _COMMAND_LINE.read_bytes().decode("utf-8", "replace").split("\0")
        asked = connection(arguments, os.environ)
        asked.request("GET", "/readyz")
        return 0 if asked.getresponse().status == 200 else 1
    except (OSError, HTTPException, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
