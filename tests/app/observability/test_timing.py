"""Server-Timing: on every answer, and what it says of waiting and of compute."""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from contextvars import Context
from dataclasses import fields
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import numpy as np
import pytest

from app.compute.analysis_threads import AnalysisThreads
from app.compute.batcher import Batcher, Capacity
from app.observability import timing
from app.observability.batch import Batch
from app.observability.timing import Timing
from model.engine import TILE, Array, Encoding, Engine
from model.inference.columns import Evidence
from tests.app.served import Served

SECONDS = 120
AMPLE = Capacity(rows=1 << 20, bytes=1 << 30)
PHASES = ["queue", "compute", "total"]
HELD = 0.05  # seconds
HELD_MS = 50
MOMENT = 0.002
CLOCK = 0.002  # a timer of the loop may be early by as much
X = [[0.5] * 16]
Z = [[0.0] * 3]


def phases(answer: httpx.Response) -> dict[str, float]:
    """Return the milliseconds of each phase, as a browser reads the header."""
    text = answer.headers["server-timing"]
    entries = [re.fullmatch(r"(\w+);dur=(\d+\.\d{3})", one) for one in text.split(", ")]

    return {one[1]: float(one[2]) for one in entries if one}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/encode", {"x": X}),
        ("/decode", {"z": Z}),
        ("/sample", {"n": 2}),
        ("/elbo", {"x": [[1.0] * 16]}),
        ("/interpolate", {"x": [[0.5] * 16] * 2}),
        ("/loglik", {"x": [[1.0] * 16]}),
    ],
)
def test_what_is_computed_is_told_in_three_phases(
    bernoulli: Served, path: str, document: dict[str, Any]
) -> None:
    """Queue, compute and total, in milliseconds; the first two are within the last."""
    start = perf_counter()

    answer = bernoulli.post(path, document)
    spent = phases(answer)

    assert answer.status_code == 200, answer.text
    assert list(spent) == PHASES
    assert spent["compute"] > 0
    assert spent["queue"] + spent["compute"] <= spent["total"] + 0.002  # as rounded
    assert spent["total"] < (perf_counter() - start) * 1000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/model", 200),
        ("GET", "/livez", 200),
        ("GET", "/nope", 404),
        ("POST", "/encode", 415),
        ("GET", "/encode", 405),
    ],
)
def test_without_compute_only_the_total_is_told(
    bernoulli: Served, method: str, path: str, status: int
) -> None:
    """Pages, refusals and what is not found have nothing else to tell."""
    answer = bernoulli.request(method, path)

    assert answer.status_code == status
    assert list(phases(answer)) == ["total"]


def test_who_waits_for_another_is_told_how_long(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow batch is compute for its own requests, queue for those after it."""
    encode = Engine.encode

    def slow(engine: Engine, x: Array) -> Encoding:
        time.sleep(HELD)
        return encode(engine, x)

    with Served(checkpoints / "bernoulli") as served:
        free = served.post("/decode", {"z": Z})
    monkeypatch.setattr(Engine, "encode", slow)
    with Served(checkpoints / "bernoulli") as served:
        computed, waited = served.together(
            [
                ("POST", "/encode", {"json": {"x": X}}),
                ("POST", "/decode", {"json": {"z": Z}}),
            ]
        )

    assert phases(computed)["compute"] >= HELD_MS
    assert phases(waited)["queue"] >= HELD_MS
    for answer in (computed, waited, free):  # no time is counted twice
        spent = phases(answer)
        assert spent["queue"] + spent["compute"] <= spent["total"] + 0.002


def timed(work: Callable[[], Awaitable[object]]) -> Timing:
    """Return the time of a request that is answered by this, whatever comes of it."""

    async def answered() -> Timing:
        begun = timing.begin()
        with suppress(asyncio.CancelledError, TimeoutError, ArithmeticError):
            await work()
        return begun

    return asyncio.run(asyncio.wait_for(answered(), SECONDS))


def rows(n: int) -> Array:
    """Return n rows, (n, 1)."""
    return np.zeros((n, 1), np.float32)


def slow(x: Array) -> Sequence[Array]:
    """Return x after a moment."""
    time.sleep(MOMENT)
    return [x]


def test_compute_is_the_sum_of_the_batches_of_a_request() -> None:
    """What is split computes several times; what lies between counts as neither."""
    batches: list[Batch] = []

    async def work() -> None:
        with closing(Batcher(batches.append, AMPLE)) as batcher:
            queue = batcher.queue("slow", "slow", slow)
            await batcher.rows(queue, rows(3 * TILE))
            await batcher.rows(queue, rows(1))

    spent = timed(work)
    (split, lone) = spent.trips

    assert len(batches) > 2
    assert spent.compute_seconds == pytest.approx(
        sum(batch.compute_seconds for batch in batches)
    )
    assert spent.compute_seconds >= len(batches) * MOMENT
    assert spent.queue_seconds == pytest.approx(
        batches[0].queue_seconds + batches[-1].queue_seconds
    )
    for queued, started, ended in (split, lone):
        assert spent.start < queued < started < ended - MOMENT
    assert split[2] <= lone[0]


def test_all_whose_rows_shared_a_batch_computed_as_long_as_it() -> None:
    """A batch takes its whole time for each of them: none gets a share of it."""
    batches: list[Batch] = []

    async def ask() -> tuple[Timing, Timing]:
        with closing(Batcher(batches.append, AMPLE)) as batcher:
            queue = batcher.queue("slow", "slow", slow)

            async def one(n: int) -> Timing:
                begun = timing.begin()
                await batcher.rows(queue, rows(n))
                return begun

            return await asyncio.gather(one(1), one(5))

    spent = asyncio.run(asyncio.wait_for(ask(), SECONDS))

    [batch] = batches
    assert [one.compute_seconds for one in spent] == [batch.compute_seconds] * 2
    assert max(one.queue_seconds for one in spent) == batch.queue_seconds


def test_who_leaves_waited_or_computed_until_then() -> None:
    """Of requests that are cut off, one was computed so far, one only waited."""
    started, go_on = threading.Event(), threading.Event()

    def stuck(x: Array) -> Sequence[Array]:
        started.set()
        assert go_on.wait(SECONDS)
        return [x]

    async def ask() -> tuple[Timing, Timing]:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("stuck", "stuck", stuck)

            async def one() -> Timing:
                begun = timing.begin()
                with suppress(asyncio.CancelledError):
                    await batcher.rows(queue, rows(TILE))
                return begun

            computed = asyncio.ensure_future(one())
            assert await asyncio.to_thread(started.wait, SECONDS)
            waited = asyncio.ensure_future(one())
            await asyncio.sleep(HELD)
            computed.cancel()
            waited.cancel()
            outcomes = await asyncio.gather(computed, waited)
            go_on.set()
            return outcomes

    computed, waited = asyncio.run(asyncio.wait_for(ask(), SECONDS))
    total = perf_counter() - computed.start

    assert computed.compute_seconds >= HELD
    assert computed.queue_seconds + computed.compute_seconds <= total
    assert waited.queue_seconds >= HELD
    assert waited.compute_seconds == 0


def test_what_fails_was_computed() -> None:
    """The batch that fails a request took time all the same."""

    def failing(x: Array) -> Sequence[Array]:
        time.sleep(HELD)
        raise ArithmeticError

    async def work() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            await batcher.rows(batcher.queue("f", "f", failing), rows(1))

    assert timed(work).compute_seconds >= HELD


def test_an_analysis_waits_for_the_thread_and_works_in_slices() -> None:
    """Queue ends with the first slice; compute is the sum over the slices."""
    started, go_on = threading.Event(), threading.Event()

    def columns(of: slice) -> Evidence:
        zeros = np.zeros(of.stop - of.start)
        return Evidence(**{field.name: zeros for field in fields(Evidence)})

    def stuck(of: slice) -> Evidence:
        started.set()
        assert go_on.wait(SECONDS)
        return columns(of)

    def slow_columns(of: slice) -> Evidence:
        time.sleep(HELD)
        return columns(of)

    async def work() -> None:
        runner = AnalysisThreads(max_requests=2)
        with closing(runner):
            held = asyncio.create_task(
                runner.run(stuck, [slice(0, 1)]), context=Context()
            )
            assert await asyncio.to_thread(started.wait, SECONDS)
            asyncio.get_running_loop().call_later(HELD, go_on.set)
            await runner.run(slow_columns, [slice(0, 2), slice(2, 3)])
            await held

    spent = timed(work)

    [(queued, begun, ended)] = spent.trips
    assert spent.queue_seconds == begun - queued >= HELD - CLOCK
    assert ended - begun >= spent.compute_seconds >= 2 * HELD
