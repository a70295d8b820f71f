"""The shorter way of a whole answer, as a connection sees it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from app.connection.cycle import WHOLE, Cycle

HEADERS = ((b"content-type", b"text/plain"), (b"content-length", b"2"))


class Transport(asyncio.Transport):
    """What a cycle writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def cycle(*, keep_alive: bool = True) -> tuple[Cycle, Transport, list[str]]:
    """Return a cycle, what it writes to, and a list that grows when it ends."""
    transport, ended = Transport(), list[str]()
    connection: Any = SimpleNamespace(
        scope={"type": "http", "method": "POST"},
        transport=transport,
        flow=FlowControl(transport),
        logger=None,
        access_logger=None,
        server_state=SimpleNamespace(default_headers=[(b"date", b"now")]),
        expect_100_continue=False,
        on_response_complete=lambda: ended.append("ended"),
    )
    made = Cycle(connection, keep_alive=keep_alive)
    return made, transport, ended


def test_a_whole_answer_is_written_at_once_and_ends_the_cycle() -> None:
    """Head and body go to the socket in one piece."""
    made, transport, ended = cycle()
    assert made.whole(200, HEADERS, b"ok")
    (written,) = transport.written
    assert written == (
        b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: text/plain\r\n"
        b"content-length: 2\r\n\r\nok"
    )
    assert made.response_complete
    assert ended == ["ended"]
    assert not transport.closed


@pytest.mark.parametrize("asked", [True, False])
def test_it_closes_when_the_client_or_the_answer_says_so(*, asked: bool) -> None:
    """One `connection: close`, whether client or server wants it."""
    made, transport, _ = cycle(keep_alive=asked)
    headers = (*HEADERS, (b"connection", b"close")) if asked else HEADERS
    assert made.whole(503, headers, b"no")
    assert transport.written[0].count(b"connection: close\r\n") == 1
    assert transport.closed


def test_it_declines_while_the_client_does_not_read() -> None:
    """An answer that would pile up goes the longer way, which waits."""
    made, transport, ended = cycle()
    made.flow.pause_writing()
    assert not made.whole(200, HEADERS, b"ok")
    assert not transport.written
    assert not ended


def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    """The answer is dropped."""
    made, transport, _ = cycle()
    made.disconnected = True
    assert made.whole(200, HEADERS, b"ok")
    assert transport.written == []


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb: c", b"a\rb"])
def test_a_header_cannot_become_two(value: bytes) -> None:
    """No line may be broken by a value."""
    made, transport, _ = cycle()
    with pytest.raises(ValueError, match="one line each"):
        made.whole(200, (*HEADERS, (b"x", value)), b"ok")
    assert transport.written == []


def test_a_body_in_one_packet_is_handed_on_uncopied() -> None:
    """The very bytes that came."""
    made, _, _ = cycle()
    body = b"x" * 100
    made.take(body)
    made.more_body = False
    made.message_event.set()
    assert asyncio.run(made.receive())["body"] is body


def test_a_body_in_many_packets_is_told_when_it_is_long_or_whole() -> None:
    """Short parts wake no task."""
    made, _, _ = cycle()
    made.take(b"a" * 40_000)
    assert not made.message_event.is_set()
    made.take(b"b" * 40_000)
    message = asyncio.run(made.receive())
    assert message["body"] == b"a" * 40_000 + b"b" * 40_000
    assert message["more_body"]


def test_nothing_keeps_an_answered_request_in_memory() -> None:
    """Scope and cycle do not refer to each other in the end."""
    made, _, _ = cycle()

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        assert scope["extensions"][WHOLE](200, HEADERS, b"ok")

    asyncio.run(made.run_asgi(app))
    assert made.scope["extensions"] == {}
