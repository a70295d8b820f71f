"""Distributions on an axis: whole, invertible, and finite in the farthest tails."""

import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from model.tables.curves import Curves


def curves() -> Curves:
    """Return two columns, one with a knot fewer, of known pieces."""
    knots = [[-1.0, 0.0, 2.0, 5.0], [10.0, 20.0, 20.0, 20.0]]
    masses = [[0.1, 0.2, 0.3, 0.3, 0.1], [0.05, 0.9, 0.0, 0.0, 0.05]]
    return Curves(
        torch.tensor(knots, dtype=torch.float64),
        torch.tensor(masses, dtype=torch.float64),
    )


def column(*values: float) -> Tensor:
    """Return the same values for both columns, (N, 2)."""
    return torch.tensor(values, dtype=torch.float64)[:, None].expand(-1, 2)


def test_f_is_linear_between_knots_and_falls_as_a_power_beyond() -> None:
    """Closed forms at a few places, from both sides."""
    below, above = curves().parts(column(-7, -1, 0, 1, 5, 11))

    first = [0.1 / 8, 0.1, 0.3, 0.45, 0.9, 1 - 0.1 / 8]
    torch.testing.assert_close(below[:, 0], torch.tensor(first, dtype=torch.float64))
    torch.testing.assert_close(below + above, torch.ones(6, 2).double())
    assert below[-1, 1] == pytest.approx(0.05 + 0.09)


def test_intervals_share_the_whole_probability() -> None:
    """Cells on a grid of any width, with the two tails, sum to 1."""
    for width in (0.013, 0.5, 3.0):
        edges = torch.arange(-400, 401).double()[:, None].expand(-1, 2) * width
        inside = curves().log_mass(edges[:-1], edges[1:]).exp().sum(dim=0)
        below, _ = curves().parts(edges[:1])
        _, above = curves().parts(edges[-1:])

        total = inside + below[0] + above[0]

        torch.testing.assert_close(total, torch.ones(2).double(), rtol=0, atol=1e-12)


def test_narrow_intervals_have_the_density_times_their_width() -> None:
    """Where a difference of F would have no digit left."""
    low = column(1.0, 4.0)
    width = 2.0**-50

    found = curves().log_mass(low, low + width)[:, 0]

    wanted = np.log([0.15 * width, 0.1 * width])
    assert found.tolist() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("x", [1e6, 1e100, 1e300, -1e300])
def test_every_number_has_a_finite_probability(x: float) -> None:
    """The farthest have less than any float64, and yet a logarithm."""
    low = column(x)

    log_mass = curves().log_mass(low, low + 1.0)

    assert log_mass.isfinite().all()
    assert curves().scores(low).abs().max() < 38


@pytest.mark.parametrize("reach", [1e-3, 1e-300])
def test_a_number_has_a_finite_probability_whatever_the_range_of_its_column(
    reach: float,
) -> None:
    """Also where it is more than 1e308 ranges away: the tail falls as a power."""
    knots = torch.tensor([[0.0, reach]], dtype=torch.float64)
    masses = torch.tensor([[0.1, 0.8, 0.1]], dtype=torch.float64)
    far, width = sys.float_info.max, 1e12
    x = torch.tensor([[far], [-far]], dtype=torch.float64)

    found = Curves(knots, masses).intervals(x, x, torch.full_like(x, width))

    wanted = np.log(0.1) - 3 * (np.log(far) - np.log(reach))
    wanted += np.log(3) + np.log(width) - np.log(far)
    assert found.log_mass[:, 0].tolist() == pytest.approx([wanted] * 2, rel=1e-9)


def test_quantiles_are_the_inverse() -> None:
    """Of F and of its complement, in the tails too."""
    x = column(-1e6, -30.0, -0.5, 0.7, 4.9, 12.0, 19.0, 33.0, 1e7)
    below, above = curves().parts(x)

    found = curves().quantiles(below, above)

    torch.testing.assert_close(found[:, 0], x[:, 0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[5:7, 1], x[5:7, 1], rtol=1e-9, atol=1e-9)


def test_moments_are_those_of_draws() -> None:
    """Mean and variance within their standard errors."""
    u = torch.rand(400_000, 2, generator=torch.Generator().manual_seed(0)).double()
    x = curves().quantiles(u, 1 - u)

    mean, variance = curves().moments()

    error = x.std(dim=0) / len(x) ** 0.5
    assert ((x.mean(dim=0) - mean).abs() < 4 * error).all()
    assert ((x.var(dim=0) / variance - 1).abs() < 0.1).all()
