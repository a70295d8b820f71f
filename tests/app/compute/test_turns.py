"""Turns: who is next, how much is begun at once, and work that is left."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError

import pytest

from app.compute.turns import Turns, Work
from model.inference.pauses import pause

SECONDS = 120  # how long a thread may take to be scheduled


class Steps:
    """Pieces of work that note every step, and may pause after it."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def piece(self, name: str, n: int) -> Callable[[], str]:
        """Return a piece of n steps."""

        def compute() -> str:
            for i in range(n):
                if i:
                    pause()
                self.taken.append(f"{name}{i}")
            return name

        return compute

    def work(self, name: str, *lengths: int) -> Work[str]:
        """Return work with a piece of each length."""
        return Work(deque(self.piece(name, n) for n in lengths))


class Held:
    """Work that has the turn until the test lets it go."""

    def __init__(self, *, n_steps: int = 1) -> None:
        self.started, self.opened = threading.Event(), threading.Event()
        self.work: Work[str] = Work(deque([self._compute]))
        self._n_steps = n_steps

    def _compute(self) -> str:
        self.started.set()
        assert self.opened.wait(SECONDS)
        for _ in range(1, self._n_steps):
            pause()
        return "held"


def turns(*, max_begun: int = 9, seconds: float = 0.0) -> Turns:
    """Return turns that every pause passes on."""
    return Turns(max_begun=max_begun, seconds=seconds)


@pytest.fixture
def held() -> Iterator[Held]:
    """Return work that does not outlive the test."""
    held = Held()
    yield held
    held.opened.set()


def order(of: Turns, held: Held, steps: Steps, *works: Work[str]) -> list[str]:
    """Submit work while other work has the turn, and return all steps in order."""
    of.submit(held.work)
    assert held.started.wait(SECONDS)
    for work in works:
        of.submit(work)
    held.opened.set()
    for work in works:
        work.future.result(SECONDS)
    of.close()
    return steps.taken


def test_work_alternates_at_its_pauses(held: Held) -> None:
    """First turns go first, and of two turns one at least is a next one."""
    steps = Steps()
    works = [steps.work(name, 3) for name in "abc"]

    found = order(turns(), held, steps, *works)

    assert found == ["a0", "b0", "a1", "c0", "b1", "a2", "c1", "b2", "c2"]


def test_pieces_alternate_as_steps_do(held: Held) -> None:
    """After a piece, work waits for the turn of its next one; results are in order."""
    steps = Steps()
    long, short = steps.work("a", 2, 1), steps.work("b", 1)

    found = order(turns(), held, steps, long, short)

    assert found == ["a0", "b0", "a1", "a0"]
    assert long.future.result() == ["a", "a"]


@pytest.mark.parametrize("n_waiting", [1, 4])
def test_a_newcomer_waits_for_two_turns_of_each_that_came_before(
    held: Held, n_waiting: int
) -> None:
    """However long the work is that is begun, and however many pieces it has."""
    steps = Steps()
    works = [steps.work(name, 50, 50) for name in "abcd"[:n_waiting]]

    found = order(turns(), held, steps, *works, steps.work("z", 1))

    assert found.index("z0") <= 2 * n_waiting


def test_a_turn_that_is_not_over_is_kept(held: Held) -> None:
    """Pauses pass nothing on before the time is over."""
    steps = Steps()

    found = order(
        turns(seconds=3600), held, steps, steps.work("a", 3), steps.work("b", 1)
    )

    assert found == ["a0", "a1", "a2", "b0"]


def test_no_more_is_begun_than_may_be(held: Held) -> None:
    """What is begun ends before more begins, and the rest follows in its order."""
    steps = Steps()
    works = [steps.work(name, 3) for name in "abc"]

    found = order(turns(max_begun=2), held, steps, *works)

    assert found == ["a0", "b0", "a1", "b1", "a2", "c0", "b2", "c1", "c2"]


def test_work_that_is_left_ends_at_its_pause_and_the_rest_goes_on(held: Held) -> None:
    """Waiting for its first turn, computing, between two steps, or done."""
    steps, of = Steps(), turns()
    computing = Held(n_steps=2)
    waiting, begun, last = (steps.work(name, 2, 2) for name in "abc")
    paused = Held(n_steps=2)
    begun.pieces[0] = paused.work.pieces[0]
    for work in (begun, computing.work):
        of.submit(work)
    paused.opened.set()
    assert computing.started.wait(SECONDS)  # in the pause of the other
    of.submit(waiting)
    of.submit(last)

    for work in (waiting, computing.work, begun):
        of.drop(work)
    computing.opened.set()

    assert last.future.result(SECONDS) == ["c", "c"]
    for work in (waiting, computing.work, begun):
        with pytest.raises(CancelledError):
            work.future.result(SECONDS)
    assert steps.taken == ["c0", "c1"] * 2
    of.drop(last)
    of.close()


def test_closing_ends_what_waits_and_what_is_begun(held: Held) -> None:
    """Nothing computes afterwards, and who waits for a result gets an error."""
    steps, of = Steps(), turns()
    waiting = steps.work("a", 1)
    of.submit(held.work)
    assert held.started.wait(SECONDS)
    of.submit(waiting)
    closing = threading.Thread(target=of.close)

    closing.start()

    with pytest.raises(CancelledError):
        waiting.future.result(SECONDS)
    held.opened.set()
    closing.join(SECONDS)
    assert not closing.is_alive()
    assert steps.taken == []


def test_time_between_turns_does_not_count(held: Held) -> None:
    """Work that waits for its turn spends none."""
    steps = Steps()
    work = steps.work("a", 2)
    first = work.stopwatch.queued

    order(turns(), held, steps, work)

    watch = work.stopwatch
    assert watch.started is not None
    assert watch.ended is not None
    assert first <= watch.started <= watch.ended
    assert 0 < watch.seconds <= watch.ended - watch.started
    assert watch.turn == 0
