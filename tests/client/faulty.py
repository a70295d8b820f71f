"""A proxy before a service: it fails on demand and records the requests."""

import socket
from collections import deque
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Condition, Event, Thread
from time import monotonic
from typing import Any, NamedTuple, Self, final
from urllib.parse import urlsplit

SECONDS = 30


class Arrival(NamedTuple):
    """A request as it came."""

    target: str
    headers: Mapping[str, str]
    at: float
    port: int  # of the client


class Exchange(BaseHTTPRequestHandler):
    """One request, and what is done with it."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        """Note the request and do what is next."""
        self.content = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.faulty.handle(self)

    do_GET = do_POST  # noqa: N815  the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer, its length included."""
        self.send_response_only(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        """End the connection where it is."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


Action = Callable[[Exchange], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Action:
    """Answer in the service's place; a header's underscores are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.send(status, named, body)


def cut(exchange: Exchange) -> None:
    """End the connection without a word."""
    exchange.cut()


def forward(exchange: Exchange) -> None:
    """Have the service answer."""
    exchange.send(*exchange.server.faulty.upstream(exchange))


def meeting(n: int) -> Action:
    """Have the service answer once n requests are under way, n at a time."""
    barrier = Barrier(n, timeout=SECONDS / 3)

    def meet(exchange: Exchange) -> None:
        barrier.wait()
        forward(exchange)

    return meet


def cut_in_the_middle(exchange: Exchange) -> None:
    """Have the service answer, and lose the second half of what it says."""
    status, headers, body = exchange.server.faulty.upstream(exchange)
    exchange.send_response_only(status)
    for name, value in {**headers, "content-length": str(len(body))}.items():
        exchange.send_header(name, value)
    exchange.end_headers()
    exchange.wfile.write(body[: len(body) // 2])
    exchange.cut()


def of_model(version: str) -> Action:
    """Have the service answer, and say that another model did."""

    def act(exchange: Exchange) -> None:
        status, headers, body = exchange.server.faulty.upstream(exchange)
        exchange.send(status, {**headers, "x-model-version": version}, body)

    return act


def late(n: int) -> Action:
    """Have the service answer, but not before n requests have come in all."""

    def wait(exchange: Exchange) -> None:
        exchange.server.faulty.wait_for(n)
        forward(exchange)

    return wait


def slow(exchange: Exchange) -> None:
    """Say nothing until the proxy ends."""
    exchange.server.faulty.ended.wait(SECONDS)
    exchange.close_connection = True


@final
class FaultyProxy:
    """
    Does the next of `actions` to each request, and forwards once there is none.

    Attributes:
        arrivals: The requests that came, in order.
        most_together: How many were under way at once, at most.
    """

    def __init__(self, address: str) -> None:
        self._upstream = urlsplit(address)
        self._lock = Condition()
        self._n_together = 0
        self._server = _Server(self)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.ended = Event()
        self.actions: deque[Action] = deque()
        self.arrivals: list[Arrival] = []
        self.most_together = 0
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(SECONDS)

    def targets(self, path: str) -> list[str]:
        """Return the paths, queries included, that came and start so."""
        return [a.target for a in self.arrivals if a.target.startswith(path)]

    def handle(self, exchange: Exchange) -> None:
        """Do to a request what is next."""
        with self._lock:
            self.arrivals.append(
                Arrival(
                    exchange.path,
                    dict(exchange.headers),
                    monotonic(),
                    exchange.client_address[1],
                )
            )
            self._lock.notify_all()
            is_model = exchange.path == "/model"
            act = self.actions.popleft() if self.actions and not is_model else forward
            self._n_together += 1
            self.most_together = max(self.most_together, self._n_together)
        try:
            act(exchange)
        finally:
            with self._lock:
                self._n_together -= 1

    def wait_for(self, n: int) -> None:
        """Wait until so many requests have come in all."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.arrivals) >= n, SECONDS)

    def upstream(self, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
        """Ask the service."""
        assert self._upstream.hostname is not None
        connection = HTTPConnection(
            self._upstream.hostname, self._upstream.port, timeout=SECONDS
        )
        try:
            connection.request(
                exchange.command,
                exchange.path,
                exchange.content,
                {**exchange.headers, "connection": "close"},
            )
            came = connection.getresponse()
            kept = ("content-type", "x-request-id", "retry-after", "x-model-version")
            headers = {k: v for k, v in came.getheaders() if k.lower() in kept}
            return came.status, headers, came.read()
        finally:
            connection.close()


@final
class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, faulty: FaultyProxy) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.faulty = faulty

    def handle_error(self, *_: Any) -> None:
        """Say nothing: that connections break is the point."""
