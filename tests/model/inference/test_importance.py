"""Errors of weighted draws in strata, also of few draws."""

import math

import pytest
import torch

from model.inference.importance import weigh

SLOTS = [1, 1, 1, 1, 37, 15, 1, 1, 2, 4]
N_ESTIMATES = 400


@pytest.mark.slow("weighs thousands of estimates")
def test_one_round_of_draws_has_a_finite_error() -> None:
    """
    Where strata have one draw each, and so no variance of their own.

    Weights are 1 + u, u uniform on [-s, s] with an s of each stratum, so the variance
    of their mean is known. The estimate of it is as large or larger in the mean.
    """
    generator = torch.Generator().manual_seed(0)
    half = torch.repeat_interleave(
        torch.linspace(0.05, 0.3, len(SLOTS)), torch.tensor(SLOTS)
    )
    u = 2 * torch.rand(N_ESTIMATES, 64, generator=generator, dtype=torch.float64) - 1
    log_weights = torch.log1p(half * u)

    found = [weigh(row, SLOTS, (0.0, 0.0)) for row in log_weights]

    assert all(math.isfinite(one.standard_error) for one in found)
    true = math.sqrt(float((half.square() / 3).sum())) / 64
    mean = math.sqrt(sum(one.standard_error**2 for one in found) / N_ESTIMATES)
    assert 0.98 * true < mean < 1.4 * true


def test_more_rounds_keep_every_stratum() -> None:
    """With two draws or more, strata whose weights are constant have no error."""
    levels = torch.repeat_interleave(
        torch.arange(len(SLOTS)) + 1.0, torch.tensor(SLOTS)
    )

    found = weigh(levels.repeat(2).double().log(), SLOTS, (0.0, 0.0))

    assert found.standard_error < 1e-12
