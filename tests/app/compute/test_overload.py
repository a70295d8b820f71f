"""More than there is capacity for: 429 at once, and nothing that was taken is lost."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from app.compute.batcher import Batcher, Capacity
from app.errors import OverloadedError, UnavailableError
from model.engine import Array
from tests.app.compute.test_batcher import AMPLE, doubled, rows, run
from tests.app.long_request import LONG
from tests.app.served import Served


@pytest.mark.parametrize(
    "capacity", [Capacity(rows=10, bytes=1 << 20), Capacity(rows=1 << 20, bytes=40)]
)
def test_what_exceeds_the_capacity_is_refused_and_the_rest_computed(
    capacity: Capacity,
) -> None:
    """Ten rows of four bytes fit; the eleventh gets the time of a retry."""

    async def ask() -> None:
        with closing(Batcher(lambda _: None, capacity)) as batcher:
            queue = batcher.queue("double", "double", doubled)
            taken = asyncio.ensure_future(batcher.rows(queue, rows(*range(8))))
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError) as refused:
                await batcher.rows(queue, rows(1, 2, 3))
            fits = asyncio.ensure_future(batcher.rows(queue, rows(1, 2)))

            assert int(dict(refused.value.headers)[b"retry-after"]) >= 1
            assert (await taken)[0][:, 0].tolist() == [2.0 * i for i in range(8)]
            assert (await fits)[0][:, 0].tolist() == [2, 4]
            # Nothing is in progress any more, and one request alone is always accepted.
            assert len((await batcher.rows(queue, rows(*[1] * 11)))[0]) == 11

    run(ask())


def test_a_cancelled_request_makes_room() -> None:
    """Rows of a client that has gone are not counted any more."""

    async def ask() -> None:
        with closing(Batcher(lambda _: None, Capacity(10, 1 << 20))) as batcher:
            queue = batcher.queue("double", "double", doubled)
            gone = asyncio.ensure_future(batcher.rows(queue, rows(*range(8))))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])

            assert len((await batcher.rows(queue, rows(*[1] * 10)))[0]) == 10

    run(ask())


def test_overload_is_told_as_429_over_http(checkpoints: Path) -> None:
    """A request too many is refused; probes answer; the one under way is right."""
    row = {"x": [[0] * 16]}
    with Served(checkpoints / "bernoulli", max_queue_rows=500) as served:
        long, refused, alive, ready = served.together(
            [
                ("POST", "/encode", {"json": {"x": [[0] * 16] * 600}}),
                ("POST", "/encode", {"json": row}),
                ("GET", "/livez", {}),
                ("GET", "/readyz", {}),
            ]
        )
        after = served.post("/encode", row)

    problem = refused.json()
    assert (refused.status_code, problem["status"]) == (429, 429), problem
    assert "at most 500 rows" in problem["detail"]
    assert int(refused.headers["retry-after"]) >= 1
    assert (alive.status_code, ready.status_code) == (200, 200)
    assert long.json()["mu"] == after.json()["mu"] * 600


@pytest.mark.parametrize(
    ("setting", "header", "seconds"), [(120.0, "0.2", "0.2"), (0.3, "100", "0.3")]
)
def test_an_answer_that_takes_too_long_is_504(
    checkpoints: Path, setting: float, header: str, seconds: str
) -> None:
    """The setting bounds an answer, and a header bounds it closer, never wider."""
    headers = {"x-request-timeout": header}
    with Served(
        checkpoints / "bernoulli", request_timeout=setting, max_work=1 << 40
    ) as served:
        late = served.post("/elbo", LONG, headers=headers)
        after = served.post("/elbo", {"x": [[0] * 16]})

    assert late.status_code == 504
    assert late.json()["detail"] == f"the response took longer than {seconds} seconds"
    assert after.status_code == 200


@pytest.mark.parametrize("header", ["soon", "-1", "", "1e3", "nan", "9" * 40])
def test_a_timeout_that_is_no_number_is_refused(bernoulli: Served, header: str) -> None:
    """X-Request-Timeout is a plain number of seconds."""
    answer = bernoulli.post(
        "/encode", {"x": [[0] * 16]}, headers={"x-request-timeout": header}
    )

    assert answer.status_code == 400
    assert "X-Request-Timeout" in answer.json()["detail"]


def test_a_stalled_compute_thread_is_told_and_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits for a batch that does not end gets 503; so does what comes after."""
    begun, release = threading.Event(), threading.Event()
    monkeypatch.setattr("app.compute.batcher.STALLED_SECONDS", 0.2)

    def stuck(x: Array) -> Sequence[Array]:
        begun.set()
        assert release.wait(30)
        return [2 * x]

    async def ask() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("stuck", "stuck", stuck)
            # Of unknown cost, three rows are not computed in the loop.
            running = asyncio.ensure_future(batcher.rows(queue, rows(1, 2, 3)))
            await asyncio.to_thread(begun.wait, 30)
            waiting = asyncio.ensure_future(batcher.rows(queue, rows(4)))
            outcomes = await asyncio.gather(running, waiting, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 2
            with pytest.raises(UnavailableError):
                await batcher.rows(queue, rows(5))

            release.set()
            await asyncio.sleep(0.1)
            (answer,) = await batcher.rows(queue, rows(6))
            assert answer.item() == 12

    run(ask())
