"""HTTP by hand, for clients that no library would be: bytes out, responses in."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, final

from tests.app.processes import cpu_seconds

SECONDS = 120  # of silence, on a busy machine
GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"Connection: close\r\n"
CLOSING = GET[:-2] + LAST + b"\r\n"
SAMPLE = b"GET /sample HTTP/1.1\r\nHost: a\r\n" + LAST + b"\r\n"
POST = b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CODED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKED = POST + CODED
X = json.dumps({"x": [[0.5] * 16]}).encode()


@final
class Answered(NamedTuple):
    """A response as it came over a socket."""

    status: int
    headers: dict[str, str]
    body: bytes


@final
class Target:
    """A running service, and sockets to it."""

    def __init__(self, address: str, pid: int) -> None:
        host, port = address.removeprefix("http://").split(":")
        self._at = (host, int(port))
        self._pid, self._proc = pid, Path(f"/proc/{pid}")

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        """Have a connection."""
        with socket.create_connection(self._at, timeout=SECONDS) as connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connected

    def answers(self, *pieces: bytes, pause: float = 0) -> list[Answered]:
        """Return what comes for these bytes until the server closes."""
        with self.connection() as connected:
            send(connected, *pieces, pause=pause)
            return parse(received(connected))

    def n_open_files(self) -> int:
        """Count the file descriptors of the server."""
        return len(list((self._proc / "fd").iterdir()))

    def resident_bytes(self) -> int:
        """Return the memory that the server has in use."""
        status = (self._proc / "status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) << 10

    def forget_peak(self) -> None:
        """Have the most memory that the server ever used be what it uses now."""
        (self._proc / "clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Return the most memory that the server has had in use since."""
        status = (self._proc / "status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10

    def cpu_seconds(self) -> float:
        """Return the processor time that the server has had."""
        return cpu_seconds(self._pid)

    def is_well(self) -> bool:
        """Say whether an honest request is answered."""
        request = POST + LAST + b"Content-Length: %d\r\n\r\n" % len(X)
        (answer,) = self.answers(request, X)
        return answer.status == 200 and len(json.loads(answer.body)["mu"]) == 1


def send(connected: socket.socket, *pieces: bytes, pause: float = 0) -> None:
    """Send pieces one after the other until the server has had enough."""
    try:
        for piece in pieces:
            connected.sendall(piece)
            if pause:
                time.sleep(pause)  # what a slow client does
    except ConnectionError:
        pass


def received(connected: socket.socket) -> bytes:
    """Return all that comes until the connection ends."""
    came = b""
    try:
        while piece := connected.recv(1 << 16):
            came += piece
    except ConnectionError:
        pass
    return came


def parse(came: bytes) -> list[Answered]:
    """Return the responses, one after the other, that bytes are."""
    answers = []
    while came:
        head, _, rest = came.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers["content-length"])
        answers.append(Answered(int(first.split()[1]), headers, rest[:size]))
        came = rest[size:]
    return answers


def assert_refused(answers: list[Answered], *statuses: int) -> dict[str, Any]:
    """Check that the last answer is a problem after which the connection closed."""
    answer = answers[-1]
    problem: dict[str, Any] = json.loads(answer.body)

    assert answer.status in statuses, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert problem["status"] == answer.status
    return problem
