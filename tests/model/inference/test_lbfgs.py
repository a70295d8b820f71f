"""Independent functions are maximized together as if each were alone."""

import torch
from torch import Tensor

from model.inference.lbfgs import Optimum, maximize
from tests.model.ppca import random

R, P = 6, 5


def rosenbrock(index: Tensor, point: Tensor) -> Tensor:
    """Return minus Rosenbrock's function with a valley of its own for each row."""
    steep = 10.0 ** (index % 3).double()
    x, y = point[:, :-1], point[:, 1:]
    valley = (1 - x).square() + steep[:, None] * (y - x.square()).square()
    return -valley.sum(dim=1)


def climb(start: Tensor, *, max_steps: int = 500) -> Optimum:
    """Maximize from here."""
    return maximize(rosenbrock, start, tolerance=1e-14, max_steps=max_steps)


def test_the_maximum_of_a_curved_valley_is_found() -> None:
    """Rosenbrock's function has its maximum, 0, where every coordinate is 1."""
    best = climb(0.1 * random(R, P))

    torch.testing.assert_close(best.point, torch.ones(R, P).double(), rtol=0, atol=1e-5)
    assert (best.value > -1e-10).all()
    assert (best.gain < 1e-13).all()


def test_rows_do_not_feel_each_other() -> None:
    """Each takes the same steps alone as in company."""
    start = 0.1 * random(R, P)

    together = climb(start)

    alone = maximize(
        lambda index, point: rosenbrock(index + 2, point),
        start[2:3],
        tolerance=1e-14,
        max_steps=500,
    )
    assert alone.n_steps[0] == together.n_steps[2]
    torch.testing.assert_close(alone.point[0], together.point[2])
    assert len(set(together.n_steps.tolist())) > 1


def test_a_row_that_is_done_is_not_evaluated_again() -> None:
    """One that starts at its maximum is asked for once, however long others take."""
    start = 0.1 * random(R, P)
    start[1] = 1
    asked = torch.zeros(R)

    def counted(index: Tensor, point: Tensor) -> Tensor:
        asked[index] += 1
        return rosenbrock(index, point)

    best = maximize(counted, start, tolerance=1e-14, max_steps=500)

    assert asked[1] == 1
    assert best.n_steps[1] == 0
    assert asked.max() > 10


def test_no_step_goes_down_and_the_last_is_reported() -> None:
    """With fewer steps the value is lower, the gain still promised greater."""
    start = 0.1 * random(R, P)

    few, more = climb(start, max_steps=3), climb(start, max_steps=6)

    assert (few.value > rosenbrock(torch.arange(R), start)).all()
    assert (more.value > few.value).all()
    assert (few.n_steps == 3).all()
    assert (few.gain > 1e-6).all()


def test_values_that_are_no_numbers_are_stepped_back_from() -> None:
    """A function that is undefined beyond an edge is maximized short of it."""

    def edged(index: Tensor, point: Tensor) -> Tensor:
        return (torch.log(1 - point) + 20 * point).sum(dim=1)

    best = maximize(edged, torch.zeros(1, 2).double(), tolerance=1e-14, max_steps=200)

    torch.testing.assert_close(best.point, torch.full((1, 2), 0.95).double())
