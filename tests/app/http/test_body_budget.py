"""The budget of bodies: over it is 429, and every end of a request frees it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.compute.operations import Operations
from app.http.body_budget import grow
from tests.app.connection.test_protocol import MAX_GROWTH_BYTES
from tests.app.processes import process, until
from tests.app.raw_http import Answered, Target, assert_refused, parse, send
from tests.app.served import Served

ROOM = 2048
ROW = json.dumps({"x": [[0.5] * 16]}).encode()
Sent = list[dict[str, Any]]


def padded(size: int) -> bytes:
    """Return a right body of so many bytes."""
    return ROW[:-1] + b" " * (size - len(ROW)) + ROW[-1:]


def test_a_buffer_grows_with_the_body_and_not_with_the_limit() -> None:
    """A limit beyond the memory refuses no body whose size is not announced."""
    body = bytearray(b"1" * 1000)

    buffer = grow(body, 1010, max_size=1 << 50)

    assert len(buffer) == 1 << 30
    assert buffer[:1000] == body
    assert len(grow(body, 1010, max_size=1200)) == 1200


@pytest.fixture
def served(checkpoints: Path) -> Iterator[Served]:
    """Serve with room for one body of the largest kind."""
    with Served(
        checkpoints / "bernoulli", max_body_bytes=ROOM, max_bodies_bytes=ROOM
    ) as running:
        yield running


async def cut(body: bytes, n_pieces: int = 4) -> AsyncIterator[dict[str, Any]]:
    """Yield a body as a server hands it on that comes in several packets."""
    size = -(-len(body) // n_pieces)
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    for i, piece in enumerate(pieces):
        more = i < len(pieces) - 1
        yield {"type": "http.request", "body": piece, "more_body": more}
        await asyncio.sleep(0)


async def ask(
    served: Served,
    messages: AsyncIterator[dict[str, Any]],
    *headers: tuple[str, str],
    path: str = "/encode",
) -> Sent:
    """Ask by bare ASGI; return what is sent."""
    sent: Sent = []

    async def receive() -> dict[str, Any]:
        async for message in messages:
            return message
        return await asyncio.Future()  # the client waits

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.encode(), value.encode()) for name, value in headers]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": served.root_path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), *given],
    }
    await served.app(scope, receive, send)
    return sent


def assert_overloaded(sent: Sent) -> dict[str, Any]:
    """Check that an answer is 429, with Retry-After, and return the problem."""
    headers = dict(sent[0]["headers"])
    problem: dict[str, Any] = json.loads(sent[1]["body"])

    assert sent[0]["status"] == problem["status"] == 429, problem
    assert int(headers[b"retry-after"]) >= 1
    return problem


def test_bodies_past_the_room_are_refused_and_the_others_answered(
    served: Served,
) -> None:
    """Of two bodies that are each half there, the one over the budget gets 429."""

    async def both() -> None:
        first, second = await asyncio.gather(
            ask(served, cut(padded(1500))), ask(served, cut(padded(1500)))
        )
        statuses = sorted(sent[0]["status"] for sent in (first, second))
        refused = first if first[0]["status"] == 429 else second

        assert statuses == [200, 429]
        assert "at most 2048 bytes of bodies" in assert_overloaded(refused)["detail"]
        assert (b"connection", b"close") in refused[0]["headers"]
        # What was refused has left no trace.
        assert (await ask(served, cut(padded(ROOM))))[0]["status"] == 200

    served.run(both())


def test_an_announced_body_is_refused_before_it_comes(served: Served) -> None:
    """Beside another, a body that says it is too long is not read to the end."""
    n_read = 0

    async def late() -> AsyncIterator[dict[str, Any]]:
        nonlocal n_read
        async for message in cut(padded(ROOM)):
            n_read += 1
            yield message

    async def both() -> None:
        slow = asyncio.ensure_future(ask(served, cut(padded(1000), n_pieces=50)))
        for _ in range(20):
            await asyncio.sleep(0)
        refused = await ask(served, late(), ("content-length", str(ROOM)))

        assert_overloaded(refused)
        assert n_read == 1
        assert (await slow)[0]["status"] == 200

    served.run(both())


def test_short_bodies_are_read_while_long_ones_fill_the_room(served: Served) -> None:
    """A client that sends long bodies slowly does not block requests of one row."""

    async def both() -> None:
        stuck = asyncio.ensure_future(ask(served, endless(padded(ROOM - 8))))
        for _ in range(10):
            await asyncio.sleep(0)
        short = await ask(served, cut(ROW, n_pieces=1))
        stuck.cancel()
        await asyncio.wait([stuck])

        assert short[0]["status"] == 200

    served.run(both())


async def endless(body: bytes) -> AsyncIterator[dict[str, Any]]:
    """Yield a body of which the end never comes."""
    yield {"type": "http.request", "body": body, "more_body": True}
    await asyncio.Future()


async def departing(body: bytes) -> AsyncIterator[dict[str, Any]]:
    """Yield half a body of a client that goes away then."""
    yield {"type": "http.request", "body": body, "more_body": True}
    yield {"type": "http.disconnect"}


async def _broken(*_: object) -> None:
    raise RuntimeError


@pytest.mark.parametrize(
    ("way", "status"),
    [
        ("answered", 200),
        ("departed", None),
        ("late", 504),
        ("faulty", 422),
        ("too long", 413),
        ("defect", 500),
    ],
)
def test_the_room_is_given_back_however_a_request_ends(
    served: Served, monkeypatch: pytest.MonkeyPatch, way: str, status: int | None
) -> None:
    """After each kind of end a body that needs all the room is answered."""
    bodies = {
        "departed": departing(padded(1000)),
        "late": endless(padded(1000)),
        "faulty": cut(padded(1000)[1:]),
        "too long": cut(padded(ROOM + 1)),
    }
    asked = (("x-request-timeout", "0.1"),) if way == "late" else ()

    async def ask_both() -> None:
        with monkeypatch.context() as patched:
            if way == "defect":
                patched.setattr(Operations, "encode", _broken)
            sent = await ask(served, bodies.get(way, cut(padded(1000))), *asked)
        after = await ask(served, cut(padded(ROOM)))
        beside = await asyncio.gather(
            *(ask(served, cut(padded(ROOM // 2))) for _ in range(2))
        )

        assert (sent[0]["status"] if sent else None) == status
        assert after[0]["status"] == 200
        assert [answer[0]["status"] for answer in beside] == [200, 200]

    served.run(ask_both())


def test_the_room_is_given_back_behind_a_prefix(served: Served) -> None:
    """Behind a prefix too, a body is counted no longer once it is answered."""
    served.root_path = "/prefix"

    async def twice() -> None:
        for _ in range(2):
            answer = await ask(served, cut(padded(ROOM)), path="/prefix/encode")

            assert answer[0]["status"] == 200

    served.run(twice())


async def unread() -> AsyncIterator[dict[str, Any]]:
    """Stand for a body that must not be asked for."""
    yield pytest.fail("the body was read")


def test_a_full_queue_is_told_before_the_body_is_read(checkpoints: Path) -> None:
    """With as many rows queued as may be, a request is refused before it is read."""

    async def both(served: Served) -> None:
        rows = json.dumps({"x": [[0.5] * 16] * 40}).encode()
        taken, refused = await asyncio.gather(
            ask(served, cut(rows, n_pieces=1)), ask(served, unread())
        )
        after = await ask(served, cut(ROW))

        assert taken[0]["status"] == 200
        problem = assert_overloaded(refused)
        assert "at most 40 rows" in problem["detail"]
        # Its body is dropped as it comes; the connection can be used again.
        assert b"connection" not in dict(refused[0]["headers"])
        assert after[0]["status"] == 200

    with Served(checkpoints / "bernoulli", max_queue_rows=40) as served:
        served.run(both(served))


def test_an_analysis_too_many_is_told_before_the_body_is_read(
    checkpoints: Path,
) -> None:
    """With as many analyses as may run or wait, the next is refused unread."""

    async def both(served: Served) -> None:
        asked = json.dumps({"x": [[0] * 16], "n_samples": 1}).encode()
        taken, refused = await asyncio.gather(
            ask(served, cut(asked, n_pieces=1), path="/loglik"),
            ask(served, unread(), path="/loglik"),
        )

        assert taken[0]["status"] == 200
        assert "at most 1 analyses" in assert_overloaded(refused)["detail"]

    with Served(checkpoints / "bernoulli", max_analyses=1) as served:
        served.run(both(served))


@pytest.mark.slow("starts processes")
def test_many_long_bodies_do_not_fill_the_memory(checkpoints: Path) -> None:
    """
    Of 24 clients that hold back the end of 8 MiB, two fit; short ones are served.

    They send in turn, so that most have sent much when they are refused.
    """
    size, n_clients = 8 << 20, 24
    environment = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_MAX_BODY_BYTES": str(size),
        "VAE_MAX_BODIES_BYTES": str(2 * size),
    }
    head = b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    # Of no announced length, so that only what has come can be counted.
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    piece = padded(size // 16)
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
    last = b"Connection: close\r\nContent-Length: %d\r\n\r\n"

    with (
        process(environment) as (address, running),
        ExitStack() as clients,
    ):
        target = Target(address, running.pid)
        assert target.is_well()
        target.forget_peak()
        before = target.resident_bytes()
        held = [clients.enter_context(target.connection()) for _ in range(n_clients)]
        for connection in held:
            send(connection, chunked)
        for _ in range(15):
            for connection in held:
                send(connection, chunk)
        short_is_answered = target.is_well()
        refused = [answer for c in held for answer in arrived(c)]
        growth = target.peak_bytes() - before
        clients.close()
        whole = head + last % size, padded(size)
        # Once all have gone, all of it is read, however much of it is white space.
        until(lambda: target.answers(*whole)[0].status == 200)

    assert short_is_answered
    assert len(refused) >= n_clients - 3
    for answer in refused:
        assert_refused([answer], 429)
    assert growth < 2 * size + MAX_GROWTH_BYTES


def arrived(connection: socket.socket) -> list[Answered]:
    """Return the answers that have come over a connection, if any."""
    connection.settimeout(0.2)
    came = b""
    try:
        while piece := connection.recv(1 << 16):
            came += piece
    except (TimeoutError, ConnectionError):
        pass
    return parse(came)
