"""The micro-batcher: what runs together, in what order, and who pays for a failure."""

import asyncio
import threading
from collections.abc import Awaitable, Sequence
from contextlib import closing
from typing import Any, ClassVar, TypeVar

import numpy as np
import pytest

from app.compute.batcher import Batcher, Capacity
from app.observability.batch import Batch
from model.engine import TILE, Array

_T = TypeVar("_T")
_WAIT_SECONDS = 120
AMPLE = Capacity(rows=1 << 20, bytes=1 << 30)


def run(awaitable: Awaitable[_T]) -> _T:
    """Run with a bound on time, so that a lost request fails the test."""

    async def bounded() -> _T:
        return await asyncio.wait_for(awaitable, _WAIT_SECONDS)

    return asyncio.run(bounded())


def doubled(x: Array) -> Sequence[Array]:
    """Return 2 x, and refuse 13."""
    if (x == 13).any():
        raise ArithmeticError("13 is in the batch")
    return [2 * x]


def rows(*values: float) -> Array:
    """Return one row per value, (N, 1)."""
    return np.array(values, np.float32)[:, None]


def test_what_ends_the_compute_thread_ends_its_batch_alone() -> None:
    """A BaseException fails the requests of its batch; the next ones are computed."""

    def exiting(x: Array) -> Sequence[Array]:
        if (x == 13).any():
            raise SystemExit(1)
        return [2 * x]

    async def ask() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("exit", "exit", exiting)
            # Of unknown cost, three rows are not computed in the loop.
            with pytest.raises(RuntimeError, match="SystemExit"):
                await batcher.rows(queue, rows(13, 13, 13))
            (answer,) = await batcher.rows(queue, rows(1, 2, 3))

            assert answer[:, 0].tolist() == [2, 4, 6]

    run(ask())


def test_requests_of_one_turn_share_a_batch() -> None:
    """Requests that arrive in one turn of the loop are computed together."""
    batches: list[Batch] = []

    async def ask() -> list[Sequence[Array]]:
        with closing(Batcher(batches.append, AMPLE)) as batcher:
            queue = batcher.queue("double", "double", doubled)
            return await asyncio.gather(
                *(batcher.rows(queue, rows(i, i)) for i in range(10))
            )

    answers = run(ask())

    assert [answer[0].tolist() for answer in answers] == [
        [[2.0 * i]] * 2 for i in range(10)
    ]
    assert [(batch.operation, batch.n_rows) for batch in batches] == [("double", 20)]


@pytest.mark.parametrize(("n_requests", "n_gathered"), [(10, 10), (3 * TILE, TILE)])
def test_a_batch_gathers_while_turns_bring_rows(
    n_requests: int, n_gathered: int
) -> None:
    """It starts once a turn of the loop brings no row, or a tile has come."""
    asked: list[asyncio.Future[Sequence[Array]]] = []
    n_asked_at_start: list[int] = []

    def noting(x: Array) -> Sequence[Array]:
        n_asked_at_start.append(len(asked))
        return [x]

    async def ask() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("note", "note", noting)
            for i in range(n_requests):
                asked.append(asyncio.ensure_future(batcher.rows(queue, rows(i))))
                await asyncio.sleep(0)
            await asyncio.gather(*asked)

    run(ask())

    assert n_gathered <= n_asked_at_start[0] <= n_gathered + 2


def test_a_lone_request_does_not_wait_for_company_until_some_comes() -> None:
    """After one that was alone it starts at once; two that meet share the next."""
    batches: list[Batch] = []

    async def ask() -> None:
        with closing(Batcher(batches.append, AMPLE)) as batcher:
            queue = batcher.queue("double", "double", doubled)
            queue.rehearse(rows(1))

            async def together(n: int) -> list[int]:
                batches.clear()
                await asyncio.gather(*(batcher.rows(queue, rows(i)) for i in range(n)))
                for _ in range(3):  # until it is idle
                    await asyncio.sleep(0)
                return [batch.n_rows for batch in batches]

            assert await together(1) == [1]

            alone = batcher.rows(queue, rows(3))
            with pytest.raises(StopIteration) as answered:  # at once, and not awaited
                alone.send(None)
            assert answered.value.value[0].tolist() == [[6]]
            for _ in range(3):
                await asyncio.sleep(0)

            assert await together(2) == [1, 1]
            assert await together(2) == [2]
            assert await together(3) == [3]

    run(ask())


def test_a_failure_is_the_answer_to_its_request_alone() -> None:
    """Of a batch that fails, only the request at fault gets the error."""

    async def ask() -> list[Sequence[Array] | BaseException]:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("double", "double", doubled)
            asked = (batcher.rows(queue, rows(i)) for i in range(10, 20))
            return await asyncio.gather(*asked, return_exceptions=True)

    answers = run(ask())

    assert isinstance(answers[3], ArithmeticError)
    good = [a for a in answers if not isinstance(a, BaseException)]
    assert [a[0].item() for a in good] == [20, 22, 24, *range(28, 40, 2)]


def test_a_short_request_waits_for_one_batch_however_many_are_long() -> None:
    """Long requests take turns and leave half of each batch to short ones."""
    batches: list[list[float]] = []

    def noting(x: Array) -> Sequence[Array]:
        batches.append(x[:, 0].tolist())
        return [x]

    async def ask() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("note", "note", noting)
            long = [
                asyncio.ensure_future(batcher.rows(queue, rows(*[i] * 10 * TILE)))
                for i in range(8)
            ]
            await asyncio.sleep(0.001)
            n_before = len(batches)
            await batcher.rows(queue, rows(99))

            assert any(99 in batch for batch in batches[n_before : n_before + 2])
            await asyncio.gather(*long)
            # And the long ones went on meanwhile, each in its turn.
            assert {batch[-1] for batch in batches[:9]} == set(range(8))

    run(ask())


def test_short_requests_pass_a_long_one() -> None:
    """A request longer than a batch goes to the end of the queue after each piece."""
    finished: list[str] = []

    async def ask() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("double", "double", doubled)

            async def one(name: str, n: int) -> None:
                (answer,) = await batcher.rows(queue, rows(*range(14, 14 + n)))
                assert answer[:, 0].tolist() == [2.0 * i for i in range(14, 14 + n)]
                finished.append(name)

            await asyncio.gather(one("long", 50 * TILE), one("short", 1))

    run(ask())

    assert finished == ["short", "long"]


def test_operations_take_turns() -> None:
    """A queue full of one operation does not keep another waiting."""
    batches: list[Batch] = []

    async def ask() -> None:
        with closing(Batcher(batches.append, AMPLE)) as batcher:
            first = batcher.queue("a", "a", doubled)
            second = batcher.queue("b", "b", doubled)
            long = rows(*range(14, 14 + 10 * TILE))
            await asyncio.gather(
                batcher.rows(first, long), batcher.rows(second, rows(1))
            )

    run(ask())

    assert "b" in [batch.operation for batch in batches[:2]]


def test_departed_requests_are_not_computed() -> None:
    """Rows of a client that has gone cost no compute."""
    computed: list[float] = []

    def noting(x: Array) -> Sequence[Array]:
        computed.extend(x[:, 0].tolist())
        return [x]

    async def ask() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("note", "note", noting)
            gone = asyncio.ensure_future(batcher.rows(queue, rows(1)))
            stays = asyncio.ensure_future(batcher.rows(queue, rows(2)))
            await asyncio.sleep(0)
            gone.cancel()
            await stays

    run(ask())

    assert computed == [2.0]


def test_the_loop_runs_on_while_a_long_batch_is_computed() -> None:
    """A batch that is not known to be short runs in the one compute thread."""
    threads: set[str] = set()
    started, go_on = threading.Event(), threading.Event()

    def waiting(x: Array) -> Sequence[Array]:
        threads.add(threading.current_thread().name)
        started.set()
        assert go_on.wait(_WAIT_SECONDS)
        return [x]

    async def ask() -> None:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("wait", "wait", waiting)
            asked = asyncio.ensure_future(batcher.rows(queue, rows(*[0] * 10)))
            await asyncio.to_thread(started.wait, _WAIT_SECONDS)
            go_on.set()
            await asked

    run(ask())

    assert len(threads) == 1
    assert next(iter(threads)).startswith("compute")


@pytest.mark.parametrize("n", [1, TILE - 1, TILE, TILE + 1, 3 * TILE + 5])
def test_rows_come_back_whole_and_in_order(n: int) -> None:
    """A request of any length gets each of its rows, in order."""

    async def ask() -> Sequence[Array]:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("pair", "pair", lambda x, y: [x + y, x - y])
            x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
            return await batcher.rows(queue, x, 10 * x)

    total, difference = run(ask())

    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    assert np.array_equal(total, 11 * x)
    assert np.array_equal(difference, -9 * x)


class Recorded(np.ndarray):
    """
    An array that records in which threads functions of numpy are called with it.

    Attributes:
        threads: The names of the threads of all such arrays.
    """

    threads: ClassVar[set[str]] = set()

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        self.threads.add(threading.current_thread().name)
        return super().__array_function__(func, types, args, kwargs)


def test_the_parts_of_a_long_result_are_joined_in_a_thread() -> None:
    """Joining them takes as long as copying a whole response: many milliseconds."""
    Recorded.threads.clear()

    def wide(x: Array) -> Sequence[Array]:
        return [np.repeat(x, 1000, axis=1).view(Recorded)]

    async def ask() -> Sequence[Array]:
        with closing(Batcher(lambda _: None, AMPLE)) as batcher:
            queue = batcher.queue("wide", "wide", wide)
            return await batcher.rows(queue, rows(*range(3 * TILE)))

    (found,) = run(ask())

    assert np.array_equal(found[:, -1], np.arange(3 * TILE))
    assert Recorded.threads
    assert threading.current_thread().name not in Recorded.threads
