"""A mean of independent replicates knows its own error."""

import math

import pytest
import torch

from model.inference.estimate import Estimate, student_t_975, widened


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(7, 2.364624), (15, 2.131450), (31, 2.039513), (100, 1.983972)],
)
def test_the_quantile_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    """Student's t at 97.5 %, to 2e-4 from 7 degrees of freedom on."""
    assert student_t_975(freedom) == pytest.approx(quantile, abs=2e-4)


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    """With 8 normal replicates it covers the mean in 95 % of 20,000 repetitions."""
    generator = torch.Generator().manual_seed(0)
    replicates = 3 + torch.randn(20_000, 8, generator=generator, dtype=torch.float64)

    low, high = Estimate.mean(replicates).interval

    covered = ((low < 3) & (high > 3)).double().mean()
    # Four standard errors of a proportion.
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / 20_000) ** 0.5


def test_errors_of_independent_estimates_add_in_squares() -> None:
    """Sum and difference have the root of the sum of squares, the fewer replicates."""
    one = Estimate(torch.tensor([5.0]), torch.tensor([3.0]), 32)
    other = Estimate(torch.tensor([1.0]), torch.tensor([4.0]), 16)

    difference, total = one.minus(other), one.plus(other)

    assert difference == (torch.tensor([4.0]), torch.tensor([5.0]), 16)
    assert total == (torch.tensor([6.0]), torch.tensor([5.0]), 16)


@pytest.mark.parametrize(("freedom", "t"), [(3, 3.182), (5, 2.571), (30, 2.042)])
def test_an_error_of_few_degrees_of_freedom_is_widened(freedom: int, t: float) -> None:
    """By t / z, to 4 % from 3 degrees of freedom on; no error stays none."""
    errors = torch.tensor([2.0, 0.0])

    wider = widened(errors, torch.tensor([float(freedom), math.nan]))

    assert float(wider[0]) == pytest.approx(2 * t / 1.96, rel=0.04)
    assert float(wider[1]) == 0


def test_one_replicate_has_no_error() -> None:
    """It is refused, and not given an error of NaN."""
    with pytest.raises(ValueError, match="at least 2 replicates, got 1"):
        Estimate.mean(torch.zeros(3, 1))
