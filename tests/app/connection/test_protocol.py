"""Hostile clients of a real process: each is refused or cut, and costs little."""

import gzip
import io
import json
import resource
import select
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import pytest
from numpy.typing import NDArray

from app.connection.admission import RESERVED
from app.connection.protocol import MAX_PIPELINED
from tests.app.long_request import LONG_BODY
from tests.app.pictures import by_hand, chunk, header
from tests.app.processes import SECONDS, process, until
from tests.app.raw_http import (
    CHUNKED,
    CLOSING,
    CODED,
    GET,
    LAST,
    POST,
    SAMPLE,
    Answered,
    Target,
    X,
    assert_refused,
    parse,
    received,
    send,
)

HEAD_BYTES = 4096
CONNECTIONS = 110
DEADLINE = 0.5
MAX_GROWTH_BYTES = 50 << 20

pytestmark = pytest.mark.slow("starts the service and waits for its deadlines")


@pytest.fixture(scope="module")
def target(
    checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """Serve with small limits; hostile clients cannot make it log."""
    log = tmp_path_factory.mktemp("protocol") / "log"
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_MAX_HEADER_BYTES": str(HEAD_BYTES),
        "VAE_MAX_CONNECTIONS": str(CONNECTIONS),
        "VAE_ALLOWED_HOSTS": "a",
        "VAE_HEAD_TIMEOUT": str(DEADLINE),
        "VAE_BODY_TIMEOUT": str(DEADLINE),
        "VAE_IDLE_TIMEOUT": str(2 * DEADLINE),
        "VAE_LOG_LEVEL": "warning",
    }
    with (
        log.open("w") as stderr,
        process(settings, stderr=stderr) as (at, running),
    ):
        served = Target(at, running.pid)
        assert served.is_well()
        yield served
    assert log.read_text() == ""


@pytest.fixture(autouse=True)
def unharmed(target: Target) -> Iterator[None]:
    """After each attack memory has hardly grown, and an honest request is answered."""
    before = target.resident_bytes()
    yield
    assert target.resident_bytes() - before < MAX_GROWTH_BYTES
    assert target.is_well()


HEADS: dict[str, tuple[bytes, int]] = {
    "long target": (
        b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        414,
    ),
    "long header": (GET[:-2] + b"X: " + b"a" * HEAD_BYTES + b"\r\n\r\n", 431),
    "long headers": (
        GET[:-2]
        + b"".join(b"X%d: %s\r\n" % (i, b"a" * 50) for i in range(80))
        + b"\r\n",
        431,
    ),
    "endless header": (GET[:-2] + b"X: " + b"a" * (1 << 20), 431),
    "endless target": (b"GET /" + b"a" * (1 << 20), 414),
    "many headers": (GET[:-2] + b"a: b\r\n" * 100 + b"\r\n", 431),
    "endless headers": (GET[:-2] + b"a: b\r\n" * 50_000, 431),
    "endless empty lines": (b"\r\n" * (1 << 19), 431),
    "no Host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (GET[:-2] + b"hOsT: b\r\n\r\n", 400),
    "two equal Hosts in HTTP/1.0": (
        b"GET /livez HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        400,
    ),
    "length and coding": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "coding and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        400,
    ),
    "list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "signed length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "huge length": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nabc", 400),
    "length beyond the limit": (POST + b"Content-Length: 99999999999\r\n\r\nabc", 413),
    "coding on two lines": (
        POST + b"Transfer-Encoding: gzip\r\n" + CODED + b"0\r\n\r\n",
        400,
    ),
    "chunked on two lines": (
        POST + b"Transfer-Encoding: chunked\r\n" + CODED + b"0\r\n\r\n",
        400,
    ),
    "target of another host": (
        b"GET http://b/sample HTTP/1.1\r\nHost: a\r\n" + LAST + b"\r\n",
        421,
    ),
    "target of another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "target of a user": (b"GET http://me@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "other coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "nearly chunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": (
        b"POST /encode HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "bare CR": (GET[:-2] + b"X: a\rY: b\r\n\r\n", 400),
    "bare LF": (b"GET /livez HTTP/1.1\nHost: a\n\n", 400),
    "folded header": (GET[:-2] + b"X: a\r\n b\r\n\r\n", 400),
    "space before colon": (GET[:-2] + b"X : a\r\n\r\n", 400),
    "NUL": (GET[:-2] + b"X: a\0b\r\n\r\n", 400),
    "bad method": (b"BREW /sample HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS hello": (bytes.fromhex("16030100c8010000c40303") + bytes(200), 400),
    "8 bit target": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "target without path": (b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bad chunk": (CHUNKED + b"zz\r\n", 400),
    "endless chunk extension": (CHUNKED + b"1;" + b"a" * (1 << 20), 431),
    "endless trailer": (CHUNKED + b"1\r\n1\r\n0\r\nX: " + b"a" * (1 << 20), 431),
    "endless trailers": (CHUNKED + b"1\r\n1\r\n0\r\n" + b"a: b\r\n" * 200_000, 431),
}


@pytest.mark.parametrize(("request_", "status"), HEADS.values(), ids=HEADS)
def test_what_is_too_large_or_ambiguous_is_refused(
    target: Target, request_: bytes, status: int
) -> None:
    """A problem with a request id, and a closed connection."""
    answers = target.answers(request_)

    assert len(answers) == 1
    assert_refused(answers, status)


@final
class Attack(NamedTuple):
    """A body that should cost more than its size, and the statuses it may get."""

    path: str
    media_type: str
    body: Callable[[], bytes]
    statuses: tuple[int, ...] = (422,)
    header: str = ""


def npy(array: NDArray[Any], **changes: str) -> bytes:
    """Return an array as .npy, with other words in its header, of the same length."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    content = file.getvalue()
    for old, new in changes.items():
        was = old.encode().ljust(len(new))
        assert was in content
        content = content.replace(was, new.encode())
    return content


def safetensors(header: bytes, n_bytes: int | None = None) -> bytes:
    """Return a header in the format, which may say that it is longer than it is."""
    size = len(header) if n_bytes is None else n_bytes
    return size.to_bytes(8, "little") + header + bytes(64)


JSON, PNG, NPY = "application/json", "image/png", "application/x-npy"
SAFETENSORS = "application/vnd.safetensors"
HUGE = 64 << 20  # bytes that compress to a thousandth
ROWS = b'{"x":{"dtype":"F32","shape":[%d,16],"data_offsets":[0,%d]}}'
ATTACKS = {
    "n of 10^9": Attack("/sample", JSON, lambda: b'{"n": 1000000000}', (413,)),
    "n of 10^9 in the query": Attack("/sample?n=1000000000", JSON, bytes, (413,)),
    "n of 10^400": Attack("/sample", JSON, lambda: b'{"n": 1%s}' % (b"0" * 400)),
    "n_samples of 10^9": Attack(
        "/elbo", JSON, lambda: X[:-1] + b', "n_samples": 1000000000}', (413, 422)
    ),
    "open arrays": Attack("/encode", JSON, lambda: b"[" * (1 << 20)),
    "nested arrays": Attack(
        "/encode", JSON, lambda: b'{"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}"
    ),
    "nested objects": Attack("/encode", JSON, lambda: b'{"x":' * 200_000),
    "nested options": Attack(
        "/sample", JSON, lambda: b'{"n":' + b"[" * 500_000 + b"]" * 500_000 + b"}"
    ),
    "many names": Attack(
        "/sample",
        JSON,
        lambda: json.dumps({f"k{i}": i for i in range(50_000)}).encode(),
    ),
    "gzip": Attack(
        "/encode",
        JSON,
        lambda: gzip.compress(bytes(HUGE), 1),
        (413,),
        "Content-Encoding: gzip\r\n",
    ),
    "PNG of 30,000 x 30,000": Attack(
        "/encode?resize=true",
        PNG,
        lambda: by_hand(
            header(30_000, 30_000), chunk(b"IDAT", zlib.compress(bytes(HUGE)))
        ),
        (413,),
    ),
    "small PNG with too many pixels": Attack(
        "/encode",
        PNG,
        lambda: by_hand(header(4, 4), chunk(b"IDAT", zlib.compress(bytes(HUGE)))),
        (200, 422),
    ),
    "PNG with compressed text": Attack(
        "/encode",
        PNG,
        lambda: by_hand(
            header(4, 4),
            chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(HUGE))),
            chunk(b"IDAT", zlib.compress(bytes(4 * 5))),
        ),
        (200,),
    ),
    "PNG in JSON": Attack(
        "/encode",
        JSON,
        lambda: json.dumps({"x_png": ["data:image/png;base64,"] * 40_000}).encode(),
        (413, 422),
    ),
    "npy of objects": Attack(
        "/encode", NPY, lambda: npy(np.array([[{"a": 1}] * 16], dtype=object))
    ),
    "npy of 10^9 rows": Attack(
        "/encode",
        NPY,
        lambda: npy(np.zeros((1, 16), "<f4"), **{"(1, 16), }": "(1000000000, 16), }"}),
    ),
    "npy with a long header": Attack(
        "/encode",
        NPY,
        lambda: b"\x93NUMPY\x02\0" + (1 << 31).to_bytes(4, "little") + b"(" * 9999,
    ),
    "safetensors of 2^31 rows": Attack(
        "/encode", SAFETENSORS, lambda: safetensors(ROWS % (1 << 31, 1 << 37))
    ),
    "safetensors with an endless header": Attack(
        "/encode", SAFETENSORS, lambda: safetensors(ROWS % (1, 64), 1 << 63)
    ),
    "safetensors with a nested header": Attack(
        "/encode", SAFETENSORS, lambda: safetensors(b"[" * 16_000)
    ),
    "wrong Host": Attack("/encode", JSON, lambda: X, (421,)),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_costs_more_than_it_weighs_is_refused(
    target: Target, attack: Attack
) -> None:
    """A small body cannot have much memory used, not even for a moment."""
    host = "evil" if attack.statuses == (421,) else "a"
    body = attack.body()
    request = f"POST {attack.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    request += f"Content-Length: {len(body)}\r\n{attack.header}"
    if body:
        request += f"Content-Type: {attack.media_type}\r\n"
    target.forget_peak()
    before = target.resident_bytes()

    (answer,) = target.answers(request.encode() + b"\r\n", body)

    assert target.peak_bytes() - before < MAX_GROWTH_BYTES
    if answer.status != 200 or 200 not in attack.statuses:
        assert_refused([answer], *attack.statuses)


def test_a_head_within_the_limits_is_read_however_it_is_cut(target: Target) -> None:
    """A head of nearly the limit is answered, in one piece or in many."""
    head = GET[:-2] + b"Connection: close\r\nX: "
    head += b"a" * (HEAD_BYTES - len(head) - 64) + b"\r\n\r\n"
    pieces = [head[i : i + 100] for i in range(0, len(head), 100)]

    for sent in ([head], pieces):
        (answer,) = target.answers(*sent, pause=0.001)

        assert answer.status == 200


def test_a_head_over_the_limit_is_refused_however_it_is_cut(target: Target) -> None:
    """Two packets, each within the limit, are counted together; so is a later head."""
    halves = [GET[:-2] + b"X: " + b"a" * (HEAD_BYTES - 500), b"a" * 500 + b"\r\n\r\n"]

    for first in (b"", GET):
        answers = target.answers(first, *halves, pause=0.05)

        assert_refused(answers, 431)


@pytest.mark.parametrize(
    ("begun", "dripped", "statuses"),
    [
        (b"", b"", ()),
        (b"GET /li", b"", (408,)),
        (b"GET /livez HTTP/1.1\r\nX: ", b"a", (408,)),
        (GET + b"GET /li", b"v", (200, 408)),
        (POST + b"Content-Length: 9999\r\n\r\n", b"a", (408,)),
        (CHUNKED, b"1\r\na\r\n", (408,)),
        (CHUNKED + b"1", b"", (408,)),
        (CHUNKED + b"1\r\na\r\n0\r\nX: ", b"a", (408,)),
        # Answered at once; its body keeps coming, and there is no second response.
        (CHUNKED.replace(b"/encode", b"/nothing"), b"1\r\na\r\n", (404,)),
    ],
    ids=[
        "nothing",
        "half a request",
        "slow head",
        "slow second head",
        "slow body",
        "slow chunks",
        "half a chunk size",
        "slow trailer",
        "slow body of an answered request",
    ],
)
def test_a_slow_client_is_cut(
    target: Target, begun: bytes, dripped: bytes, statuses: tuple[int, ...]
) -> None:
    """However it drips, its connection ends within two deadlines."""
    start = time.monotonic()

    answers = target.answers(begun, *([dripped] * 16), pause=DEADLINE / 10)
    seconds = time.monotonic() - start

    assert tuple(answer.status for answer in answers) == statuses
    if 408 in statuses:
        assert_refused(answers, 408)
    assert DEADLINE < seconds < 4 * DEADLINE + 2  # one more second of lingering


def test_a_large_body_may_take_longer_than_the_deadline(target: Target) -> None:
    """At the lowest rate or above, a body has the time it needs."""
    body = X[:-1] + b" " * 100_000 + X[-1:]
    pieces = [body[i : i + 5000] for i in range(0, len(body), 5000)]
    head = POST + LAST + b"Content-Length: %d\r\n\r\n" % len(body)

    (answer,) = target.answers(head, *pieces, pause=2 * DEADLINE / len(pieces))

    assert answer.status == 200


def test_a_long_computation_is_waited_for(target: Target) -> None:
    """No deadline is about the time that the service itself takes."""
    asked = json.dumps({"x": [[0] * 16] * 250, "n_samples": 10_000}).encode()
    head = b"POST /elbo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

    (answer,) = target.answers(
        head + LAST + b"Content-Length: %d\r\n\r\n" % len(asked), asked
    )

    assert answer.status == 200


def test_an_idle_connection_ends(target: Target) -> None:
    """A connection that rests after an answer is closed without a word."""
    start = time.monotonic()

    (answer,) = target.answers(GET)

    assert answer.status == 200
    assert 2 * DEADLINE < time.monotonic() - start < 6 * DEADLINE


def test_an_answer_that_nobody_reads_is_dropped(target: Target) -> None:
    """A client that asks for megabytes and reads nothing loses its connection."""
    n_before = target.n_open_files()
    asked = b"GET /sample?n=16384 HTTP/1.1\r\nHost: a\r\n\r\n" * 3

    with target.connection() as connected:
        send(connected, asked)
        until(lambda: target.n_open_files() > n_before)

        until(lambda: target.n_open_files() <= n_before)


def test_connections_over_the_limit_are_turned_away(target: Target) -> None:
    """Beyond a hundred silent connections only probes are answered, and all of them."""
    until(lambda: target.answers(CLOSING)[0].status == 200)
    n_before = target.n_open_files()
    refused: list[Answered] = []
    probes: list[Answered] = []

    with ExitStack() as idle:
        open_idle(target, idle, CONNECTIONS - 10)
        served_beside = target.is_well()
        end = time.monotonic() + SECONDS
        while len(refused) < 50 and time.monotonic() < end:
            (answer,) = target.answers(SAMPLE)
            if answer.status == 200:  # not full yet, or some have been cut meanwhile
                open_idle(target, idle, CONNECTIONS + 2 * RESERVED)
            else:
                refused.append(answer)
                probes += target.answers(CLOSING)
        n_files = target.n_open_files()

    assert served_beside
    assert len(refused) == 50
    assert {answer.status for answer in probes} == {200}
    assert n_files <= n_before + CONNECTIONS + RESERVED
    for answer in refused:
        assert_refused([answer], 503)
        assert int(answer.headers["retry-after"]) > 0
    until(lambda: target.answers(CLOSING)[0].status == 200)


def test_a_connection_that_rests_makes_room(checkpoints: Path) -> None:
    """Idle connections do not keep others out; one with a request under way stays."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_MAX_CONNECTIONS": "4",
    }
    with process(settings) as (at, running), ExitStack() as stack:
        target = Target(at, running.pid)
        begun, *idle = [stack.enter_context(target.connection()) for _ in range(4)]
        begun.sendall(GET[:-2])
        for connected in idle:
            connected.sendall(GET)
            came = b""
            while not came.endswith(b"ok\n"):
                came += connected.recv(1 << 16)
        until(lambda: target.answers(SAMPLE)[0].status == 200)
        begun.sendall(LAST + b"\r\n")

        assert parse(received(begun))[0].status == 200
        closed, _, _ = select.select(idle, [], [], SECONDS)
        assert [connected.recv(1) for connected in closed] == [b""] * len(closed)
        assert 1 <= len(closed) < 3


def test_a_lack_of_files_is_a_503_and_a_warning(checkpoints: Path) -> None:
    """Before the system lets no more be opened, the log says so, once."""
    settings = {"VAE_CHECKPOINT": str(checkpoints / "bernoulli")}
    with (
        process(settings, stderr=subprocess.PIPE) as (at, running),
        ExitStack() as idle,
    ):
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (100, 100))
        target = Target(at, running.pid)
        open_idle(target, idle, 60)
        (refused,) = target.answers(SAMPLE)
        (probe,) = target.answers(CLOSING)
        idle.close()
        until(lambda: target.answers(SAMPLE)[0].status == 200)
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=SECONDS)

    assert_refused([refused], 503)
    assert probe.status == 200
    assert log.count("limit of 100 open files") == 1


def test_a_client_that_sends_no_more_is_answered(target: Target) -> None:
    """A request and the end of the connection: the whole answer comes, then the end."""
    with target.connection() as connected:
        connected.sendall(b"GET /sample?n=16384&seed=1 HTTP/1.0\r\nHost: a\r\n\r\n")
        connected.shutdown(socket.SHUT_WR)

        (answer,) = parse(received(connected))

    assert answer.status == 200
    assert len(json.loads(answer.body)["x"]) == 16_384


def test_a_computation_for_a_client_that_closed_is_ended(checkpoints: Path) -> None:
    """Who closes while an answer is computed is found to have gone."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_MAX_WORK": str(1 << 40),
    }
    head = POST.replace(b"/encode", b"/elbo") + b"Content-Length: %d\r\n\r\n"
    metrics = b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + LAST + b"\r\n"
    with process(settings) as (at, running):
        target = Target(at, running.pid)
        with target.connection() as connected:
            connected.sendall(head % len(LONG_BODY) + LONG_BODY)
            in_flight = b"vae_requests_in_flight 2.0"
            until(lambda: in_flight in target.answers(metrics)[0].body)

        ended = b'vae_requests_total{route="/elbo",status="499"} 1.0'
        until(lambda: ended in target.answers(metrics)[0].body)


def test_a_slow_but_steady_reader_gets_all(target: Target) -> None:
    """Taking a little now and then for many times the deadline is no rest."""
    request = b"GET /sample?n=16384&seed=1 HTTP/1.0\r\nHost: a\r\nAccept: %b\r\n\r\n"
    came = bytearray()
    start = time.monotonic()
    with target.connection() as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connected.sendall(request % b"application/json")
        while piece := connected.recv(1 << 16 if len(came) < 1 << 20 else 1 << 20):
            came += piece
            if len(came) < 1 << 20:
                time.sleep(DEADLINE / 4)  # what a slow client does
    (answer,) = parse(bytes(came))

    assert time.monotonic() - start > 3 * DEADLINE
    assert len(json.loads(answer.body)["x"]) == 16_384


def open_idle(target: Target, idle: ExitStack, n_connections: int) -> None:
    """Open connections that send nothing."""
    for _ in range(n_connections):
        idle.enter_context(target.connection())


def test_200_000_chunks_of_one_byte_are_one_body(target: Target) -> None:
    """The smallest chunks take time in proportion, and are read as what they say."""
    body = X[:-1] + b" " * (200_000 - len(X)) + X[-1:]
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    before = target.cpu_seconds()

    (answer,) = target.answers(POST + LAST + CODED, chunks)

    assert answer.status == 200
    assert len(json.loads(answer.body)["mu"]) == 1
    assert target.cpu_seconds() - before < 10


def test_trailers_are_no_headers(target: Target) -> None:
    """What follows the last chunk cannot name a type or a request id."""
    head = b"POST /encode HTTP/1.1\r\nHost: a\r\n" + LAST + CODED
    sent = b"%x\r\n%b\r\n0\r\nContent-Type: application/json\r\n\r\n" % (len(X), X)

    (answer,) = target.answers(head + sent)

    assert answer.status == 415


@pytest.mark.parametrize(
    "path",
    [
        b"/../../etc/passwd",
        b"/docs/../../../etc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/..%2f..%2fetc%2fpasswd",
        b"/..%5c..%5cetc%5cpasswd",
        b"//etc/passwd",
        b"/%00",
        b"/%0d%0aSet-Cookie:a",
    ],
)
def test_paths_lead_nowhere_else(target: Target, path: bytes) -> None:
    """No form of a path is anything but not found, and none splits a header."""
    request = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path

    answers = target.answers(request)

    assert_refused(answers, 404)
    assert "set-cookie" not in answers[0].headers


@pytest.mark.parametrize("n_pieces", [1, 7])
def test_pipelined_requests_are_answered_in_order(
    target: Target, n_pieces: int
) -> None:
    """Several requests in flight get their answers in order, a refusal the last."""
    asked = [
        b"GET /sample?seed=%d HTTP/1.1\r\nHost: a\r\n\r\n" % seed for seed in range(5)
    ]
    asked.insert(2, POST + b"Content-Length: %d\r\n\r\n%b" % (len(X), X))
    sent = b"".join(asked) + b"GET /sample HTTP/1.1\r\n\r\n" + GET
    size = -(-len(sent) // n_pieces)
    pieces = [sent[i : i + size] for i in range(0, len(sent), size)]

    answers = target.answers(*pieces, pause=0.01)

    assert [answer.status for answer in answers] == [200] * 6 + [400]
    assert_refused(answers, 400)
    del answers[2]
    assert [a.headers["vae-seed"] for a in answers[:5]] == ["0", "1", "2", "3", "4"]


def test_a_pipeline_is_not_endless(target: Target) -> None:
    """Of thousands of requests in a packet a few wait; then the connection ends."""
    answers = target.answers(GET * 5000)

    statuses = [answer.status for answer in answers]
    assert statuses[:-1] == [200] * (len(answers) - 1)
    assert MAX_PIPELINED < len(answers) < 5000
    assert_refused(answers, 503)


def test_a_pipeline_of_upgrades_is_not_endless(target: Target) -> None:
    """Offers of another protocol beyond the pipeline get what other requests get."""
    offer = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    answers = target.answers(offer * 100)

    problem = assert_refused(answers, 503)
    assert "pipelined requests" in problem["detail"]


def test_a_whole_url_names_the_host(target: Target) -> None:
    """It counts instead of Host, which a proxy's client may have set otherwise."""
    request = b"GET http://A:80/sample?n=2 HTTP/1.1\r\nHost: b\r\n" + LAST + b"\r\n"

    (answer,) = target.answers(request)

    assert answer.status == 200
    assert len(json.loads(answer.body)["x"]) == 2


@pytest.mark.parametrize("cut", [False, True], ids=["one packet", "several"])
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_upgrades_are_answered_as_plain_requests(
    target: Target, protocol: bytes, cut: bool
) -> None:
    """An offer of another protocol is answered in HTTP/1.1, with the body read."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol
    offer += b"\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Version: 13\r\n"
    pieces = [POST + offer + b"Content-Length: %d\r\n\r\n" % len(X), X[:9], X[9:]]
    last = GET[:-2] + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    pieces += [GET[:-2] + offer + b"\r\n", last]

    answers = target.answers(*(pieces if cut else [b"".join(pieces)]), pause=0.01)

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len(json.loads(answers[0].body)["mu"]) == 1
    assert answers[2].headers["connection"] == "close"
