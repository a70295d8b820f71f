"""The ascent of each row ends at the maximum of that row's own function."""

from itertools import pairwise

import torch
from torch import Tensor

from model.ascent import Maximum, maximize

N, P = 5, 4


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def quadratic(n: int = N) -> tuple[Tensor, Tensor]:
    """Return positive definite matrices, (n, P, P), and maxima, (n, P), by row."""
    factor = random(N, P, P)[:n]
    return factor @ factor.mT + torch.eye(P).double(), 3 * random(N, P, seed=1)[:n]


def climb(n: int = N, *, tolerance: float = 1e-14, max_steps: int = 200) -> Maximum:
    """Maximise -(x - c)'A(x - c)/2 of each row from 0."""
    a, c = quadratic(n)

    def objective(rows: Tensor, x: Tensor) -> Tensor:
        r = x - c[rows]
        return -0.5 * (r[:, None] @ a[rows] @ r[:, :, None])[:, 0, 0]

    start = torch.zeros(n, P).double()
    return maximize(objective, start, tolerance=tolerance, max_steps=max_steps)


def test_a_concave_quadratic_is_maximised_exactly() -> None:
    """Rows of condition numbers up to hundreds all end at their own maximum."""
    a, c = quadratic()

    found = climb()

    # A gain of 1e-14 left is a distance of at most sqrt(2e-14) where A >= 1.
    torch.testing.assert_close(found.point, c, rtol=0, atol=2e-7)
    torch.testing.assert_close(found.value, torch.zeros(N).double(), rtol=0, atol=1e-13)
    assert float(torch.linalg.cond(a).max()) > 10
    assert (found.n_steps < 60).all()


def test_the_banana_of_rosenbrock_is_climbed() -> None:
    """A curved ridge that defeats plain gradient ascent ends at (1, 1)."""

    def objective(_: Tensor, x: Tensor) -> Tensor:
        return -((1 - x[:, 0]) ** 2) - 100 * (x[:, 1] - x[:, 0] ** 2) ** 2

    start = torch.tensor([[-1.2, 1.0], [0.0, 0.0], [2.0, -1.0]]).double()

    found = maximize(objective, start, tolerance=1e-14, max_steps=200)

    torch.testing.assert_close(
        found.point, torch.ones(3, 2).double(), rtol=0, atol=1e-5
    )


def test_what_was_left_is_what_could_be_gained() -> None:
    """At a tolerance of 0.01 the true gain left is of that size, and is reported."""
    found = climb(tolerance=1e-2)

    assert (found.gain <= 1e-2).all()
    assert (-found.value < 0.1).all()  # the maximum is 0
    assert (found.n_steps < climb().n_steps).all()


def test_a_row_ends_where_it_ends_alone() -> None:
    """Rows that take longer move no row that has stopped."""
    together, alone = climb(), climb(1)

    torch.testing.assert_close(together.point[:1], alone.point, rtol=0, atol=1e-9)
    assert together.n_steps[0] == alone.n_steps[0]
    assert len(set(together.n_steps.tolist())) > 1


def test_steps_are_bounded_and_never_lead_down() -> None:
    """After each number of steps the value is no lower than after one step fewer."""
    paths = [climb(max_steps=n) for n in range(8)]

    assert [int(path.n_steps.max()) for path in paths] == [*range(8)]
    for before, after in pairwise(paths):
        assert (after.value >= before.value).all()


def test_a_step_into_the_undefined_is_taken_back() -> None:
    """With log x - x, NaN below 0, a start at 40 ends at 1 all the same."""
    start = torch.tensor([[40.0], [0.01]]).double()

    found = maximize(
        lambda _, x: (x.log() - x).sum(dim=-1), start, tolerance=1e-14, max_steps=200
    )

    torch.testing.assert_close(
        found.point, torch.ones(2, 1).double(), rtol=0, atol=1e-6
    )


def test_a_start_without_a_value_is_left_as_it_is() -> None:
    """A NaN row takes no step and does not disturb its neighbour."""
    start = torch.tensor([[-1.0], [0.5]]).double()

    found = maximize(
        lambda _, x: (x.log() - x).sum(dim=-1), start, tolerance=1e-12, max_steps=50
    )

    assert found.n_steps[0] == 0
    assert found.point[0] == -1
    assert abs(float(found.point[1]) - 1) < 1e-5
