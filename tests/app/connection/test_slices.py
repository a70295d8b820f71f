"""Long packets are parsed in slices, and mean what they say."""

import asyncio
from collections.abc import Callable
from typing import Any, final

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.connection.config import ServerConfig
from app.connection.protocol import Connection
from app.connection.slices import SLICE_BYTES
from app.settings import Settings

PACKET_BYTES = 1 << 18  # as much as uvloop reads at a time
HEAD = b"POST /encode HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"1\r\na\r\n"
LAST = b"0\r\n\r\n"
MAX_TURNS = 10_000
MAX_CALLS = 2 * SLICE_BYTES // len(b"a:\r\n")


@final
class _Transport:
    """Collects what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_reading = True
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str) -> None:
        return None


@final
class _Recorder:
    """An application that notes the bodies that it gets, and returns nothing."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        body, message = b"", await receive()
        while message["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
            message = await receive()
        self.bodies.append(body)
        empty = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": empty})
        await send({"type": "http.response.body"})

    def request_id(self, _headers: object) -> str:
        return "id"

    def refusal_body(self, _problem: object, _path: str, _id: str) -> Any:
        return b"text/plain", b""

    def note_refusal(self, refusal: object) -> None:
        pass


async def turns_until(is_so: Callable[[], object]) -> None:
    """Let the event loop turn until something is so."""
    for _ in range(MAX_TURNS):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError


async def feed(
    packets: list[bytes], after: Callable[[Connection], None] = lambda _: None
) -> tuple[_Recorder, _Transport]:
    """Feed packets to a connection, each once it reads again."""
    app, transport = _Recorder(), _Transport()
    config = ServerConfig(app, Settings(threads=1), http=Connection)
    config.load()
    connection = Connection(config, ServerState(), {}, asyncio.get_running_loop())
    connection.connection_made(transport)
    for packet in packets:
        connection.data_received(packet)
        after(connection)
        await turns_until(lambda: transport.is_reading or connection.parser is None)
    await turns_until(lambda: not connection.tasks)
    connection.connection_lost(None)
    return app, transport


@pytest.mark.parametrize(
    ("packet", "status"),
    [
        (HEAD + b"a:\r\n" * (PACKET_BYTES // 4) + b"\r\n", b"431"),
        (CHUNKED + CHUNK + b"0\r\n" + b"a:\r\n" * (PACKET_BYTES // 4), b"431"),
        (CHUNKED + CHUNK * (PACKET_BYTES // 6) + LAST, b"200"),
        (
            HEAD + b"Content-Length: 1\r\n\r\na" + CHUNKED + CHUNK * 40_000 + LAST,
            b"200",
        ),
    ],
    ids=["headers", "trailers", "chunks", "chunks of the next request"],
)
def test_no_packet_holds_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, packet: bytes, status: bytes
) -> None:
    """However many headers, trailers or chunks it has, the parser calls few times."""
    turns: list[int] = []  # the calls of each turn of the event loop

    def counted(call: Any) -> Any:
        def count(*arguments: Any) -> None:
            turns[-1] += 1
            call(*arguments)

        return count

    for name in ("on_header", "on_body"):
        monkeypatch.setattr(Connection, name, counted(getattr(Connection, name)))

    async def run() -> _Transport:
        def begin_turn() -> None:
            turns.append(0)
            asyncio.get_running_loop().call_soon(begin_turn)

        begin_turn()
        _, transport = await feed([packet])
        return transport

    transport = asyncio.run(run())

    assert b" %b " % status in transport.written.splitlines()[0]
    assert max(turns) < MAX_CALLS


def test_bodies_are_what_was_sent_however_packets_are_cut() -> None:
    """Chunked or not, after each other, and with a head in the middle of a packet."""
    bodies = [b"b" * 100_000, b"c" * 30_000, b"", b"d\r\n\r\n" * 4000]
    sent = b""
    for i, body in enumerate(bodies):
        if i % 2:
            parts = [body[j : j + 700] for j in range(0, len(body), 700)]
            sent += CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts)
            sent += LAST
        else:
            sent += HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body

    for size in (10_000, 50_001, len(sent)):
        packets = [sent[i : i + size] for i in range(0, len(sent), size)]
        app, transport = asyncio.run(feed(packets))

        assert app.bodies == bodies
        assert transport.written.count(b" 200 ") == len(bodies)


def test_a_long_body_of_a_known_length_is_not_cut() -> None:
    """It costs nothing, and its copies would."""
    body = b"a" * 200_000
    head_ = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    kinds: list[type] = []

    app, _ = asyncio.run(
        feed([head_ + body], lambda one: kinds.append(type(one.cycle.body)))
    )

    assert app.bodies == [body]
    assert kinds == [bytes]


def test_a_connection_that_is_lost_is_fed_no_more() -> None:
    """The rest of its packet is dropped, and its request ends."""
    packet = CHUNKED + CHUNK * (PACKET_BYTES // 6) + LAST

    app, transport = asyncio.run(feed([packet], lambda one: one.connection_lost(None)))

    assert app.bodies == [b""]
    assert transport.written == b""
