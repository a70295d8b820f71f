"""The threads of analyses: turns, a bounded number of requests, and who has gone."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from http import HTTPStatus

import numpy as np
import pytest

from app.compute.analysis_threads import RETRY_AFTER_SECONDS, AnalysisThreads
from app.errors import OverloadedError
from model.inference.columns import Evidence

SECONDS = 120  # how long a thread may take to be scheduled


def ten(n_slices: int) -> list[slice]:
    """Return slices of ten rows each."""
    return [slice(10 * i, 10 * i + 10) for i in range(n_slices)]


def columns(rows: slice) -> Evidence:
    """Return the numbers of the rows as every column."""
    numbers = np.arange(rows.start, rows.stop)
    return Evidence(**{field.name: numbers for field in fields(Evidence)})


class Gate:
    """A computation that waits for the test, and notes what it was asked for."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.opened = threading.Event()
        self.rows: list[slice] = []

    def __call__(self, rows: slice) -> Evidence:
        self.rows.append(rows)
        self.started.set()
        assert self.opened.wait(SECONDS)
        return columns(rows)

    async def has_started(self) -> None:
        """Wait until the thread is in it."""
        assert await asyncio.to_thread(self.started.wait, SECONDS)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Return a computation that does not outlive the test."""
    gate = Gate()
    yield gate
    gate.opened.set()


def analyses(*, max_in_hand: int = 4) -> AnalysisThreads:
    """Return what runs analyses."""
    return AnalysisThreads(max_requests=max_in_hand)


def test_slices_are_joined_in_order() -> None:
    """The result is that of all rows, in their order."""
    found = asyncio.run(analyses().run(columns, ten(3)))

    np.testing.assert_array_equal(found.log_p_x, np.arange(30))
    np.testing.assert_array_equal(found.is_reliable, np.arange(30))


def test_a_short_request_passes_a_long_one(gate: Gate) -> None:
    """Requests take turns slice by slice, so one slice waits for one slice."""

    async def ask() -> list[str]:
        runner, order = analyses(), []
        long = asyncio.ensure_future(runner.run(gate, ten(3)))
        await gate.has_started()
        short = asyncio.ensure_future(runner.run(columns, ten(1)))
        await asyncio.sleep(0)  # it hands in its slice
        long.add_done_callback(lambda _: order.append("long"))
        short.add_done_callback(lambda _: order.append("short"))
        gate.opened.set()
        await asyncio.gather(long, short)
        return order

    assert asyncio.run(ask()) == ["short", "long"]
    assert len(gate.rows) == 3


def test_first_slices_go_before_others_next_ones(gate: Gate) -> None:
    """Of two turns, one at least is for a next slice, and no request waits forever."""
    order: list[str] = []

    def named(name: str) -> Callable[[slice], Evidence]:
        def compute(rows: slice) -> Evidence:
            order.append(f"{name}{rows.start // 10}")
            return columns(rows)

        return compute

    async def ask() -> None:
        runner = analyses(max_in_hand=9)
        held = asyncio.ensure_future(runner.run(gate, ten(1)))
        await gate.has_started()
        requests = [
            asyncio.ensure_future(runner.run(named(name), ten(3))) for name in "abc"
        ]
        await asyncio.sleep(0)  # each waits for its first turn
        gate.opened.set()
        await asyncio.gather(held, *requests)

    asyncio.run(ask())

    assert order == ["a0", "b0", "a1", "c0", "b1", "a2", "c1", "b2", "c2"]


def test_requests_that_depart_in_the_queue_pass_their_turn_on(gate: Gate) -> None:
    """Cancelled while they wait, when the turn is given, and when it has come."""

    async def ask() -> None:
        runner = analyses(max_in_hand=9)
        held = asyncio.ensure_future(runner.run(gate, ten(1)))
        await gate.has_started()
        waiting, called, last = (
            asyncio.ensure_future(runner.run(columns, ten(1))) for _ in range(3)
        )
        await asyncio.sleep(0)
        held.add_done_callback(lambda _: called.cancel())
        waiting.cancel()  # its place in the queue is there still
        held.cancel()  # gives the turn back
        gate.opened.set()
        await last
        assert held.cancelled()
        assert waiting.cancelled()
        assert called.cancelled()

    asyncio.run(asyncio.wait_for(ask(), SECONDS))


def test_more_than_may_be_in_hand_are_refused(gate: Gate) -> None:
    """429 with Retry-After, and a place is free again once one is done."""

    async def ask() -> OverloadedError:
        runner = analyses(max_in_hand=1)
        first = asyncio.ensure_future(runner.run(gate, ten(1)))
        await gate.has_started()
        with pytest.raises(OverloadedError) as refused:
            await runner.run(columns, ten(1))
        gate.opened.set()
        await first
        await runner.run(columns, ten(1))
        return refused.value

    error = asyncio.run(ask())

    assert error.status == HTTPStatus.TOO_MANY_REQUESTS
    assert error.headers == ((b"retry-after", b"%d" % RETRY_AFTER_SECONDS),)
    assert "at most 1 analyses" in error.detail


def test_a_departed_request_hands_in_no_more_slices(gate: Gate) -> None:
    """Cancelled while a slice runs, it computes none of the others."""

    async def ask() -> None:
        runner = analyses(max_in_hand=1)
        departed = asyncio.ensure_future(runner.run(gate, ten(50)))
        await gate.has_started()
        departed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await departed
        gate.opened.set()
        await runner.run(columns, ten(2))  # its place is free
        runner.close()

    asyncio.run(ask())

    assert gate.rows == ten(1)


@pytest.mark.parametrize("failure", [ValueError, TimeoutError])
def test_a_failure_is_its_own(failure: type[Exception]) -> None:
    """What a computation raises comes out as it is, a timeout of its own included."""

    def broken(_: slice) -> Evidence:
        raise failure("mine")

    with pytest.raises(failure, match="mine"):
        asyncio.run(analyses().run(broken, ten(1)))
