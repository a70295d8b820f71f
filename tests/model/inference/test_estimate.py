"""A mean of independent replicates knows its own error."""

import math

import pytest
import torch

from model.inference.estimate import Estimate, widen


def test_the_error_is_that_of_the_mean() -> None:
    """Of 8 normal replicates, in 20,000 repetitions, by the moments of both."""
    generator = torch.Generator().manual_seed(0)
    replicates = 3 + torch.randn(20_000, 8, generator=generator, dtype=torch.float64)

    mean, error = Estimate.mean(replicates)

    # Four standard errors of a mean, and of a mean of squares.
    assert abs(mean.mean() - 3) < 4 * (1 / 8 / 20_000) ** 0.5
    ratio = error.square().mean() / mean.var()
    assert abs(ratio - 1) < 4 * (2 / 20_000 * (1 + 1 / 7)) ** 0.5


def test_errors_of_independent_estimates_add_in_squares() -> None:
    """Sum and difference have the root of the sum of squares."""
    one = Estimate(torch.tensor([5.0]), torch.tensor([3.0]))
    other = Estimate(torch.tensor([1.0]), torch.tensor([4.0]))

    difference, total = one.minus(other), one.plus(other)

    assert difference == (torch.tensor([4.0]), torch.tensor([5.0]))
    assert total == (torch.tensor([6.0]), torch.tensor([5.0]))


@pytest.mark.parametrize(("freedom", "t"), [(3, 3.182), (5, 2.571), (30, 2.042)])
def test_an_error_of_few_degrees_of_freedom_is_widened(freedom: int, t: float) -> None:
    """By t / z, to 4 % from 3 degrees of freedom on; no error stays none."""
    errors = torch.tensor([2.0, 0.0])

    wider = widen(errors, torch.tensor([float(freedom), math.nan]))

    assert float(wider[0]) == pytest.approx(2 * t / 1.96, rel=0.04)
    assert float(wider[1]) == 0


def test_one_replicate_has_no_error() -> None:
    """It is refused, and not given an error of NaN."""
    with pytest.raises(ValueError, match="at least 2 replicates, got 1"):
        Estimate.mean(torch.zeros(3, 1))
