"""Responses that no client takes: counted, refused past the room, and given back."""

import json
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.errors import OverloadedError
from app.http.response_budget import ResponseBudget
from tests.app.http.test_body_budget import ask, assert_overloaded, cut
from tests.app.processes import process, until
from tests.app.raw_http import Target
from tests.app.served import Served
from tests.tiny import MLP, save_tiny, tiny_config, tiny_vae

SIDE = 64
N_ROWS = 256
RESPONSE_BYTES = N_ROWS * SIDE**2 * 4  # as float32; as text it is nearly thrice that
ROOM = 4 * RESPONSE_BYTES + (4 << 20)
N_CLIENTS = 40
LONG = b"GET /sample?n=%d&seed=1 HTTP/1.1\r\nHost: a\r\nAccept: %b\r\n\r\n"
JSON, SAFETENSORS = b"application/json", b"application/vnd.safetensors"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of 64 x 64 values, of which few rows are a long response."""
    config = tiny_config("bernoulli", data_shape=(SIDE, SIDE), network=MLP)
    return save_tiny(tmp_path_factory.mktemp("wide") / "wide", tiny_vae(config))


@contextmanager
def serving(wide: Path, settings: Mapping[str, str] | None = None) -> Iterator[Target]:
    """Serve it in a process with room for four long responses."""
    given = {"VAE_CHECKPOINT": str(wide), "VAE_MAX_RESPONSES_BYTES": str(ROOM)}
    with process({**given, **(settings or {})}) as (address, running):
        yield Target(address, running.pid)


def asked(clients: ExitStack, target: Target, accept: bytes) -> socket.socket:
    """Ask for a long response; return the connection, of which little is taken."""
    connected = clients.enter_context(target.connection())
    # Or the system would take all of it for a client that never reads.
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    connected.sendall(LONG % (N_ROWS, accept))
    return connected


def status(connected: socket.socket) -> int:
    """Read the status of a response, and not more than its line."""
    return int(connected.recv(12)[9:])


def taken(connected: socket.socket) -> bytes:
    """Take what is left of a response that ends in a chunk of nothing."""
    came = bytearray()
    while not came.endswith(b"\r\n0\r\n\r\n"):
        piece = connected.recv(1 << 20)
        assert piece, "the connection was closed"
        came += piece
    return bytes(came)


def unchunked(came: bytes) -> bytes:
    """Return the body that chunks hold."""
    body, position = bytearray(), 0
    while True:
        end = came.index(b"\r\n", position)
        size = int(came[position:end], 16)
        if size == 0:
            return bytes(body)
        body += came[end + 2 : end + 2 + size]
        position = end + 2 + size + 2


def is_answered(target: Target) -> bool:
    """Say whether a request for a row is answered, with the right number of values."""
    request = b"GET /sample?n=1&seed=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    (answer,) = target.answers(request)
    return answer.status == 200 and len(json.loads(answer.body)["x"][0]) == SIDE


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("accept", [JSON, SAFETENSORS])
def test_responses_that_nobody_takes_do_not_fill_the_memory(
    wide: Path, accept: bytes
) -> None:
    """Of 40 clients that never read, four get room; after them memory is as before."""
    with serving(wide) as target, ExitStack() as clients:
        for _ in range(4):  # what the first requests need stays
            with ExitStack() as first:
                assert status(asked(first, target, accept)) == 200
        until(lambda: is_answered(target))
        before = target.resident_bytes()
        target.forget_peak()

        statuses = [status(asked(clients, target, accept)) for _ in range(N_CLIENTS)]
        short_is_answered = is_answered(target)
        growth = target.peak_bytes() - before
        clients.close()

        until(lambda: target.resident_bytes() - before < before // 5)
    assert sorted(set(statuses)) == [200, 429]
    assert 3 <= statuses.count(200) <= 8  # of those the system's buffers take a part
    assert short_is_answered
    assert growth < 2 * ROOM


@pytest.mark.slow("starts processes")
def test_a_long_response_is_whole_however_slowly_it_is_taken(wide: Path) -> None:
    """What a client takes late has the bits of what another takes at once."""
    with serving(wide) as target, ExitStack() as clients:
        late = asked(clients, target, JSON)
        assert status(late) == 200
        at_once = asked(clients, target, JSON)
        head, _, first = taken(at_once).partition(b"\r\n\r\n")
        _, _, second = taken(late).partition(b"\r\n\r\n")
        short = json.loads(unchunked(first))

    assert b"transfer-encoding: chunked" in head
    assert unchunked(first) == unchunked(second)
    assert len(short["x"]) == N_ROWS
    assert short["seed"] == 1


@pytest.mark.slow("starts processes")
def test_http_1_0_is_told_the_length(wide: Path) -> None:
    """It has no chunks, so a long text is written twice, the first time to count it."""
    with serving(wide) as target, ExitStack() as clients:
        chunked = taken(asked(clients, target, JSON)).partition(b"\r\n\r\n")[2]
        old = LONG.replace(b"HTTP/1.1", b"HTTP/1.0") % (N_ROWS, JSON)
        (answer,) = target.answers(old)

    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    assert answer.body == unchunked(chunked)


@pytest.mark.slow("starts processes")
def test_head_has_no_body_and_makes_none(wide: Path) -> None:
    """HEAD of a long response ends with its head, and the connection goes on."""
    head = b"HEAD" + LONG[3:] % (N_ROWS, JSON)
    last = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with serving(wide) as target, target.connection() as connected:
        connected.sendall(head + last)
        came = b""
        while piece := connected.recv(1 << 16):
            came += piece

    first, _, rest = came.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert rest.startswith(b"HTTP/1.1 200")
    assert rest.endswith(b"\r\n\r\nok\n")


@pytest.mark.slow("starts processes")
def test_a_client_that_takes_nothing_is_cut(wide: Path) -> None:
    """After the stated time its connection ends, and its room is another's."""
    room = str(RESPONSE_BYTES + (1 << 20))
    settings = {"VAE_IDLE_TIMEOUT": "0.5", "VAE_MAX_RESPONSES_BYTES": room}
    with serving(wide, settings) as target, ExitStack() as clients:
        first = asked(clients, target, SAFETENSORS)
        assert status(first) == 200

        def is_free() -> bool:
            with ExitStack() as others:
                return status(asked(others, target, SAFETENSORS)) == 200

        until(is_free)


@pytest.mark.slow("starts processes")
def test_a_slow_client_delays_no_swap(tmp_path: Path) -> None:
    """Two swaps, of which the second waits for the end of the first, pass it by."""
    config = tiny_config("bernoulli", data_shape=(SIDE, SIDE), network=MLP)
    path = save_tiny(tmp_path / "swapped", tiny_vae(config))
    row = b"GET /sample?n=1&seed=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    settings = {"VAE_CHECKPOINT": str(path)}
    with process(settings) as (address, running), ExitStack() as clients:
        target = Target(address, running.pid)
        slow = asked(clients, target, JSON)
        assert status(slow) == 200
        versions = [target.answers(row)[0].headers["x-model-version"]]
        for seed in (2, 3):
            save_tiny(path, tiny_vae(config, seed=seed))
            running.send_signal(signal.SIGHUP)
            until(
                lambda: (
                    target.answers(row)[0].headers["x-model-version"] != versions[-1]
                )
            )
            versions.append(target.answers(row)[0].headers["x-model-version"])
        head, _, body = taken(slow).partition(b"\r\n\r\n")

    assert len(set(versions)) == 3
    assert f"x-model-version: {versions[0]}".encode() in head
    assert len(json.loads(unchunked(body))["x"]) == N_ROWS


@pytest.mark.slow("starts processes")
def test_nothing_is_computed_for_a_client_that_does_not_read(wide: Path) -> None:
    """Of pipelined requests the next begins when the response before it is taken."""
    with serving(wide) as target, target.connection() as connected:
        connected.sendall(LONG % (N_ROWS, JSON) * 20)
        assert status(connected) == 200
        assert is_answered(target)
        metrics = target.answers(
            b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )[0].body

    assert b"vae_requests_in_flight 2.0" in metrics
    (rows,) = (
        line for line in metrics.splitlines() if line.startswith(b"vae_batch_rows_sum")
    )
    assert float(rows.split()[-1]) <= 2 * N_ROWS


def test_the_room_is_given_back_however_a_response_ends(checkpoints: Path) -> None:
    """Answered, refused or failed: nothing of it is counted in the end."""
    rows = json.dumps({"z": [[0.5] * 3] * 2000}).encode()

    async def check(served: Served) -> None:
        one = await ask(served, cut(rows, n_pieces=1), path="/decode")
        together = [
            await ask(served, cut(rows, n_pieces=1), path="/decode") for _ in range(3)
        ]

        assert one[0]["status"] == 200
        assert [sent[0]["status"] for sent in together] == [200] * 3

    with Served(checkpoints / "bernoulli", max_responses_bytes=1 << 20) as served:
        served.run(check(served))


def test_a_long_response_too_many_is_refused_before_it_is_computed(
    checkpoints: Path,
) -> None:
    """While one is sent that fills the room, the next is 429, and a row is answered."""
    rows = json.dumps({"z": [[0.5] * 3] * 2000}).encode()
    row = json.dumps({"z": [[0.5] * 3]}).encode()
    inner: list[list[dict[str, Any]]] = []

    async def check(served: Served) -> None:
        async def send(message: Any) -> None:
            if message.get("more_body") and not inner:
                for body in (rows, row):
                    messages = cut(body, n_pieces=1)
                    inner.append(await ask(served, messages, path="/decode"))

        messages: AsyncIterator[dict[str, Any]] = cut(rows, n_pieces=1)

        async def receive() -> dict[str, Any]:
            return await anext(messages)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/decode",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        await served.app(scope, receive, send)

    with Served(checkpoints / "bernoulli", max_responses_bytes=1 << 17) as served:
        served.run(check(served))

    refused, short = inner
    assert "unread responses" in assert_overloaded(refused)["detail"]
    assert short[0]["status"] == 200


def test_one_response_alone_is_always_taken() -> None:
    """Its own size is bounded elsewhere; beside another it is refused."""
    responses = ResponseBudget(max_bytes=100)
    responses.take(500, held=0)
    with pytest.raises(OverloadedError):
        responses.take(1, held=0)
    responses.take(-100, held=500)
    responses.release(400)
    responses.take(100, held=0)

    with pytest.raises(OverloadedError):
        responses.take(1, held=0)
