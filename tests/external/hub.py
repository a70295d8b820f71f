"""A server that answers as the Hugging Face Hub and as S3 do, from one directory."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY, BUCKET = "user/model", "bucket"


@final
class Hub:
    """
    Attributes:
        asked: Method and path of every request.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[str] = []
        hub = self

        class Handler(_Handler):
            served = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """Close the server's port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers from the directory of `served`."""

    protocol_version = "HTTP/1.1"
    served: Hub

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.served.asked.append(f"{self.command} {path}")
        api = f"/api/models/{REPOSITORY}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            self._send_json({"id": REPOSITORY, "sha": COMMIT, "siblings": []})
        elif path == f"{api}/tree/{COMMIT}":
            self._send_json([self._entry(file.name) for file in self._files()])
        elif path.startswith((f"/{REPOSITORY}/resolve/{COMMIT}/", f"/{BUCKET}/tiny/")):
            self._send_file(self.served.directory / path.rpartition("/")[2])
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.served.asked.append(f"POST {self.path}")
        asked = self.rfile.read(int(self.headers["content-length"])).decode()
        names = [file.name for file in self._files() if file.name in asked]
        self._send_json([self._entry(name) for name in names])

    def _files(self) -> list[Path]:
        return sorted(self.served.directory.iterdir())

    def _entry(self, name: str) -> dict[str, Any]:
        size = (self.served.directory / name).stat().st_size
        return {"type": "file", "path": name, "size": size, "oid": "0" * 40}

    def _send_file(self, file: Path) -> None:
        if not file.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content, asked = file.read_bytes(), self.headers.get("range")
        about = {"ETag": f'"{file.name}"', "X-Repo-Commit": COMMIT}
        if asked is None:
            self._send(200, content, about)
            return
        start, _, end = asked.removeprefix("bytes=").partition("-")
        part = content[int(start) : int(end) + 1 if end else None]
        last = int(start) + len(part) - 1
        about["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        self._send(206, part, about)

    def _send_json(self, document: object) -> None:
        about = {"Content-Type": "application/json"}
        self._send(200, json.dumps(document).encode(), about)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing on standard error."""


@contextmanager
def hub(directory: Path) -> Iterator[Hub]:
    """Serve a directory."""
    served = Hub(directory)
    try:
        yield served
    finally:
        served.stop()
