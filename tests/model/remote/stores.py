"""Where checkpoints are kept in these tests: fsspec's memory, and a web server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, final

import fsspec


def upload(directory: Path, url: str) -> None:
    """Write the files of a directory below a URL of fsspec's memory."""
    files = fsspec.filesystem("memory")
    for path in directory.iterdir():
        files.pipe_file(f"{url}/{path.name}", path.read_bytes())


def remove(url: str) -> None:
    """Remove what is below a URL of fsspec's memory."""
    fsspec.filesystem("memory").rm(url, recursive=True)


@final
class Web:
    """
    A web server of a directory.

    Attributes:
        status: What it answers to everything, if not 0.
        asked: The paths that it was asked for with GET, with their queries.
        gate: While it is not set, nothing is answered.
    """

    def __init__(self, directory: Path) -> None:
        self.status = 0
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        handler = partial(_Handler, directory=str(directory), web=self)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Close the server's port."""
        self.gate.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@final
class _Handler(SimpleHTTPRequestHandler):
    """Answers from a directory, and counts."""

    def __init__(self, *arguments: Any, web: Web, directory: str) -> None:
        self._web = web
        super().__init__(*arguments, directory=directory)

    def do_GET(self) -> None:
        self._web.asked.append(self.path)
        self._web.gate.wait()
        if self._web.status:
            self.send_error(self._web.status)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._web.status:
            self.send_error(self._web.status)
        else:
            super().do_HEAD()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing on standard error."""


@contextmanager
def web(directory: Path) -> Iterator[Web]:
    """Serve a directory."""
    server = Web(directory)
    try:
        yield server
    finally:
        server.stop()
