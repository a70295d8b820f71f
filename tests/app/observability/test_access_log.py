"""One line of JSON for every request, and nothing in it that is not its own."""

import asyncio
import json
import os
import select
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from app.keys import line_of
from app.observability.access_log import MAX_LINES, MAX_SECONDS, AccessLog, Line
from app.observability.output import Output
from tests.app.served import Served

SECONDS = 60

LINE = Line(0.5, "id-1", "POST", "/encode", 200, 0.0123456, 0.00412345, 0.002, 3, 456)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Have a pipe that can be read without waiting."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def come(reading: int, output: Output) -> list[dict[str, Any]]:
    """Return the lines that have come; each is whole."""
    output.flush()
    try:
        text = os.read(reading, 1 << 20)
    except BlockingIOError:
        return []
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_tells_a_request() -> None:
    """Time, id, method, route, status, milliseconds of three kinds, rows and bytes."""
    assert json.loads(LINE.json()) == {
        "time": "1970-01-01T00:00:00.500000Z",
        "request_id": "id-1",
        "method": "POST",
        "route": "/encode",
        "status": 200,
        "duration_ms": 12.346,
        "queue_ms": 4.123,
        "compute_ms": 2.0,
        "rows": 3,
        "bytes": 456,
    }


def test_what_was_not_computed_has_no_time_of_it() -> None:
    """Times that there are not are null; trace, key and client are there if known."""
    line = LINE._replace(seconds=None, queue_seconds=None, compute_seconds=None)

    plain = json.loads(line.json())
    traced = json.loads(line._replace(trace_id="ab" * 16).json())
    known = json.loads(line._replace(key="lab", client="203.0.113.7").json())

    assert plain["duration_ms"] is plain["queue_ms"] is plain["compute_ms"] is None
    assert "trace_id" not in plain
    assert traced == {**plain, "trace_id": "ab" * 16}
    assert known == {**plain, "key": "lab", "client": "203.0.113.7"}


def test_lines_are_gathered(pipe: tuple[int, int]) -> None:
    """They come together: with the 64th, or by a timer soon after the first."""
    reading, writing = pipe
    output = Output(writing)

    async def note() -> tuple[int, int, int, float]:
        log = AccessLog(output)
        for _ in range(MAX_LINES - 1):
            log.note(LINE)
        before = len(come(reading, output))
        log.note(LINE)
        full = len(come(reading, output))
        start = perf_counter()
        log.note(LINE)
        await asyncio.to_thread(select.select, [reading], [], [], 20)
        return before, full, len(come(reading, output)), perf_counter() - start

    before, full, late, seconds = asyncio.run(note())

    assert (before, full, late) == (0, MAX_LINES, 1)
    assert seconds > MAX_SECONDS / 2


def test_nothing_is_lost_at_the_end(pipe: tuple[int, int]) -> None:
    """What is noted before the end and after it is written."""
    reading, writing = pipe

    async def note() -> list[int]:
        log = AccessLog(Output(writing))
        log.note(LINE)
        await log.close()
        first = os.read(reading, 1 << 20).count(b"\n")
        log.note(LINE)
        return [first, os.read(reading, 1 << 20).count(b"\n")]

    assert asyncio.run(note()) == [1, 1]


def test_each_write_is_whole_lines_that_a_pipe_keeps_together(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write is longer than PIPE_BUF; each ends with a line."""
    _, writing = pipe
    output = Output(writing)
    written: list[bytes] = []

    def write_now(_: int, texts: list[bytes], *_flags: int) -> int:
        written.extend(texts)
        return len(texts[0])

    monkeypatch.setattr(os, "pwritev", write_now)

    async def note() -> None:
        log = AccessLog(output)
        for _ in range(MAX_LINES):
            log.note(LINE._replace(request_id="a" * 64))

    asyncio.run(note())
    output.flush()

    assert sum(text.count(b"\n") for text in written) == MAX_LINES
    assert all(text.endswith(b"\n") for text in written)
    assert 1 < len(written) < MAX_LINES / 4
    assert max(map(len, written)) <= select.PIPE_BUF


def test_every_request_is_told_and_nothing_it_said(
    checkpoints: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Hot and cold, good and bad: the route, never the target, a value or a key."""
    with Served(checkpoints / "bernoulli", access_log=True) as served:
        headers = {"authorization": "Bearer hush", "x-request-id": "mine"}
        answers = [
            served.post("/encode?binarize=hush", {"x": [[0.5] * 16] * 2}),
            served.post("/sample?seed=987654321", {"n": 3}, headers=headers),
            served.request("HEAD", "/sample"),
            served.get("/model?hush=1"),
            served.get("/hush"),
            served.request("OPTIONS", "/hush"),
        ]
    text = capfd.readouterr().out
    lines = [json.loads(line) for line in text.splitlines()]

    assert [(line["method"], line["route"]) for line in lines] == [
        ("POST", "/encode"),
        ("POST", "/sample"),
        ("HEAD", "/sample"),
        ("GET", "/model"),
        ("GET", "other"),
        ("OPTIONS", "other"),
    ]
    assert lines[1]["request_id"] == "mine"
    assert [line["rows"] for line in lines] == [0, 3, 1, 0, 0, 0]
    for line, answer in zip(lines, answers, strict=True):
        assert line["status"] == answer.status_code
        assert line["bytes"] == len(answer.content)
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["duration_ms"] > 0
        assert (line["queue_ms"] is not None) == (line["rows"] > 0)
        assert (line["compute_ms"] is not None) == (line["rows"] > 0)
        if line["rows"]:
            assert line["queue_ms"] >= 0
            assert 0 < line["compute_ms"] < line["duration_ms"]
        age = datetime.now(UTC) - datetime.fromisoformat(line["time"])
        assert timedelta() <= age < timedelta(minutes=1)
    assert "hush" not in text
    assert "987654321" not in text


def test_who_asked_is_logged_by_the_name_of_the_key(
    checkpoints: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A 401 has its route, of a page too, and no name; a key itself is never there."""
    path = tmp_path / "keys"
    path.write_text(f"{line_of('hush', name='the lab')}\n")
    settings = {"access_log": True, "api_keys_file": path, "root_path": "/vae"}
    headers = {"authorization": "Bearer hush"}
    with Served(checkpoints / "bernoulli", **settings) as served:
        served.get("/sample", headers=headers)
        served.get("/docs", headers=headers)
        for refused in ("/sample", "/docs", "/vae/docs/start.js", "/hush"):
            served.get(refused, headers={"authorization": "Bearer hush2"})
        served.get("/livez")
    text = capfd.readouterr().out
    lines = [json.loads(line) for line in text.splitlines()]

    assert [(line["status"], line["route"], line.get("key")) for line in lines] == [
        (200, "/sample", "the lab"),
        (200, "/docs", "the lab"),
        (401, "/sample", None),
        (401, "/docs", None),
        (401, "/docs/{name}", None),
        (401, "other", None),
        (200, "/livez", None),
    ]
    assert "hush" not in text
    assert not any("client" in line for line in lines)


def test_the_client_s_address_is_logged_if_asked(
    checkpoints: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """That which a trusted proxy reports, else that of the peer."""
    headers = {"x-forwarded-for": "198.51.100.9, 203.0.113.7"}
    for trusted in ((), ("127.0.0.1",)):
        settings = {"access_log": True, "access_log_client": True}
        with Served(
            checkpoints / "bernoulli", forwarded_allow_ips=trusted, **settings
        ) as served:
            served.get("/sample", headers=headers)
            served.get("/docs", headers=headers)

    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    peers = [line["client"] for line in lines]
    assert peers == ["127.0.0.1", "127.0.0.1", "203.0.113.7", "203.0.113.7"]


def test_nothing_is_written_unless_asked(
    bernoulli: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log is off by default."""
    bernoulli.get("/sample")

    assert capfd.readouterr().out == ""
