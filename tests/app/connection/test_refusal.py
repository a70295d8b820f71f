"""Who learns of what is refused at the socket: the client, the metrics and the log."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.app.connection.test_protocol import HEAD_BYTES
from tests.app.processes import process
from tests.app.raw_http import (
    CHUNKED,
    GET,
    LAST,
    POST,
    SAMPLE,
    Answered,
    Target,
    assert_refused,
)

CONNECTIONS = 5
DEADLINE = 0.3

pytestmark = pytest.mark.slow("starts processes")


class Logged:
    """A running service, sockets to it, and the lines of its access log."""

    def __init__(self, address: str, running: subprocess.Popen[str]) -> None:
        self._running = running
        self._target = Target(address, running.pid)
        self.answers = self._target.answers
        self.connection = self._target.connection

    def lines(self, n: int) -> list[dict[str, Any]]:
        """Return the next n lines of the log."""
        assert self._running.stdout is not None
        return [json.loads(self._running.stdout.readline()) for _ in range(n)]

    def counted(self, name: str) -> Counter[tuple[str, ...]]:
        """Return the values of a metric by those of its labels."""
        request = b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + LAST + b"\r\n"
        (answer,) = self.answers(request)
        self.lines(1)
        found = re.findall(
            rf"^{name}{{(.*)}} (\S+)$", answer.body.decode(), re.MULTILINE
        )
        return Counter(
            {
                tuple(re.findall(r'"(.*?)"', labels)): int(float(n))
                for labels, n in found
            }
        )


@pytest.fixture(scope="module")
def served(checkpoints: Path) -> Iterator[Logged]:
    """Serve with small limits and an access log."""
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_ACCESS_LOG": "true",
        "VAE_MAX_HEADER_BYTES": str(HEAD_BYTES),
        "VAE_MAX_CONNECTIONS": str(CONNECTIONS),
        "VAE_HEAD_TIMEOUT": str(DEADLINE),
        "VAE_BODY_TIMEOUT": str(DEADLINE),
    }
    with process(settings) as (at, running):
        yield Logged(at, running)


REFUSED = {  # what is sent, the status, its reason; method and route in the log
    "large head": (
        GET[:-2] + b"X: " + b"a" * HEAD_BYTES,
        (431, "headers_too_large"),
        ("-", "other"),
    ),
    "long target": (
        b"GET /" + b"a" * 2 * HEAD_BYTES,
        (414, "target_too_long"),
        ("-", "other"),
    ),
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", (400, "bad_request"), ("-", "other")),
    "slow head": (GET[:-2], (408, "request_timeout"), ("-", "other")),
    "slow body": (
        POST + b"Content-Length: 9\r\n\r\n{",
        (408, "request_timeout"),
        ("POST", "/encode"),
    ),
    "bad chunk": (CHUNKED + b"zz\r\n", (400, "bad_request"), ("POST", "/encode")),
}


@pytest.mark.parametrize(("sent", "answered", "logged"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_counted_and_logged_once(
    served: Logged, sent: bytes, answered: tuple[int, str], logged: tuple[str, str]
) -> None:
    """With the id in the response; nothing that the client sent is in the line."""
    status, reason = answered
    before = served.counted("vae_rejected_total")
    requests = served.counted("vae_requests_total")

    (answer,) = served.answers(sent)
    (line,) = served.lines(1)

    assert_refused([answer], status)
    assert (line["method"], line["route"]) == logged
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["status"], line["bytes"]) == (status, len(answer.body))
    assert (line["duration_ms"] is None) == (logged[0] == "-")
    assert line["queue_ms"] is line["compute_ms"] is None
    assert line["rows"] == 0
    assert "a" * 13 not in json.dumps(line)  # an id may have twelve
    assert served.counted("vae_rejected_total") - before == {(reason,): 1}
    after = served.counted("vae_requests_total") - requests
    assert after[(logged[1], str(status))] == 1
    assert {route for route, _ in after} == {logged[1], "/metrics"}


SLOW = b"Content-Length: 9\r\n\r\n{"
BELOW_V2 = {  # what is sent below /v2, and the status
    "large head": (
        b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEAD_BYTES,
        431,
    ),
    "long target": (b"GET /v2/" + b"a" * 2 * HEAD_BYTES, 414),
    "slow head": (b"GET /v2?a=b HTTP/1.1\r\nHost: a\r\n", 408),
    "slow body": (
        b"POST /v2/models/vae-sample/infer HTTP/1.1\r\nHost: a\r\n" + SLOW,
        408,
    ),
    "two Hosts": (b"GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), BELOW_V2.values(), ids=BELOW_V2)
def test_a_refusal_has_the_shape_of_the_path(
    served: Logged, sent: bytes, status: int
) -> None:
    """Below /v2 it is an error of the Open Inference Protocol."""
    (answer,) = served.answers(sent)
    (line,) = served.lines(1)

    assert answer.status == line["status"] == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"] == line["request_id"]
    assert list(json.loads(answer.body)) == ["error"]


@pytest.mark.parametrize(
    "sent",
    [
        GET[:-2] + b"X-Request-ID: mine-7\r\nHost: b\r\n\r\n",
        CHUNKED[:-2] + b"X-Request-ID: mine-7\r\n\r\nzz\r\n",
    ],
    ids=["head", "body"],
)
def test_a_refusal_carries_the_id_of_the_client(served: Logged, sent: bytes) -> None:
    """If its head came so far and the id is a plain one."""
    (answer,) = served.answers(sent)
    (line,) = served.lines(1)

    assert answer.status == 400
    assert answer.headers["x-request-id"] == line["request_id"] == "mine-7"


def test_an_id_of_another_request_is_not_taken(served: Logged) -> None:
    """What is no request after one that was has an id of its own."""
    first = GET[:-2] + b"X-Request-ID: mine-7\r\n\r\n"

    good, bad = served.answers(first, b"nonsense\r\n\r\n", pause=0.05)
    lines = served.lines(2)

    ids = [good.headers["x-request-id"], bad.headers["x-request-id"]]
    assert ids == [line["request_id"] for line in lines]
    assert ids[0] == "mine-7"
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", ids[1])
    assert [line["route"] for line in lines] == ["/livez", "other"]


def test_connections_over_the_limit_are_counted(served: Logged) -> None:
    """Each that is turned away is a line, whatever it asks."""
    before = served.counted("vae_rejected_total")

    with ExitStack() as idle:
        for _ in range(CONNECTIONS):
            idle.enter_context(served.connection())
        answers: list[Answered] = [served.answers(SAMPLE)[0] for _ in range(3)]
        lines = served.lines(3)
    until_closed(served)

    for answer, line in zip(answers, lines, strict=True):
        assert_refused([answer], 503)
        assert line["request_id"] == answer.headers["x-request-id"]
        assert (line["status"], line["method"], line["route"]) == (503, "-", "other")
    counted = served.counted("vae_rejected_total") - before
    assert counted[("unavailable",)] >= len(answers)


def until_closed(served: Logged) -> None:
    """Wait until connections are taken again; read the lines that this makes."""
    while True:
        (answer,) = served.answers(GET[:-2] + LAST + b"\r\n")
        (line,) = served.lines(1)
        assert line["status"] == answer.status
        if answer.status == 200:
            return
