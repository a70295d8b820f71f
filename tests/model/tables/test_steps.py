"""What lies beyond the range of rows: how much, how far, and nothing negative."""

import math

import numpy as np
import pytest
import torch

from model.tables.likelihood import Table, initial_parameters
from model.tables.marginals import Marginals
from model.tables.schema import Codes
from model.tables.steps import Outside
from model.tables.tails import tail_p_values
from tests.model.tables.tables import fitted, number


def marginal(x: Codes) -> Marginals:
    """Return the marginal of one column of whole numbers."""
    return fitted((number("x"),), x[:, None])


def beyond(marginals: Marginals, *x: float) -> tuple[list[float], list[float]]:
    """Return P(X < x) and P(X > x)."""
    parts = marginals.curves.parts(torch.tensor(x, dtype=torch.float64)[:, None])
    below, above = (part[:, 0].tolist() for part in parts)
    return below, above


def test_beyond_the_range_is_an_exponential_with_the_mean_excess() -> None:
    """1 / (n + 1) on each side; the mean excess of 10 over the 11th, on both."""
    draw = np.random.default_rng(0)
    x = np.unique(np.round(draw.normal(0, 1e5, 500)))
    scale_up = (x[-10:] - x[-11]).mean()
    scale_down = (x[10] - x[:10]).mean()
    knots = np.array([0.0, 0.5, 1.0]) * math.log(100)  # some of 13

    found = marginal(x)
    _, above = beyond(found, *(x[-1] + 0.5 + scale_up * knots))
    below, _ = beyond(found, *(x[0] - 0.5 - scale_down * knots))

    wanted = np.exp(-knots) / (len(x) + 1)
    np.testing.assert_allclose(above, wanted, rtol=1e-9)
    np.testing.assert_allclose(below, wanted, rtol=1e-9)


def test_an_end_that_k_rows_share_has_a_kth_beyond_it() -> None:
    """As where percentages end at 100."""
    draw = np.random.default_rng(1)
    x = np.append(np.round(draw.normal(60, 8, 380)).clip(max=99), np.full(20, 100.0))

    _, above = beyond(marginal(x), 100.5)

    assert above[0] == pytest.approx(1 / 401 / 20, rel=1e-9)


@pytest.mark.parametrize("least", [1, 12])
def test_what_would_be_negative_is_zero(least: int) -> None:
    """With the exponential's share; negative numbers have practically nothing."""
    draw = np.random.default_rng(2)
    x = np.append(least, least + 1 + np.unique(np.round(draw.exponential(400, 900))))
    scale = (np.sort(x)[10] - np.sort(x)[:10]).mean()

    below, _ = beyond(marginal(x), -0.5, 0.5, least - 0.5)

    share = math.exp(-(least - 1) / scale)
    assert share > 0.01
    assert below[0] == pytest.approx(1e-100, rel=1e-9)
    assert below[1] == pytest.approx(share / (len(x) + 1), rel=0.03)
    assert below[2] == pytest.approx(1 / (len(x) + 1), rel=1e-9)


def test_every_number_between_zero_and_the_rows_has_a_probability() -> None:
    """Where 0 is farther than the exponential's last knot."""
    x = np.round(np.random.default_rng(7).uniform(1000, 2000, 3000))

    log_share = marginal(x).x_of(np.arange(0.0, 1000)[:, None])[:, 3]

    assert log_share.min() > math.log(0.009 / 3001 / 1000)
    assert np.exp(log_share.astype(np.float64)).sum() < 1 / 3001


def test_rows_far_above_zero_have_two_sides() -> None:
    """A small distance from 0 in units of the range is what makes 0 the end."""
    x = np.arange(200.0)

    near, far = marginal(600 + x), marginal(601 + x)

    below, _ = beyond(near, -0.5)
    assert below[0] == pytest.approx(1e-100, rel=1e-6)
    below, _ = beyond(far, -0.5)
    assert 1e-12 < below[0] < 0.01 / 201 / 3**3


@pytest.mark.parametrize("largest", [0.0, 3.0, 1e12])
@pytest.mark.parametrize("n", [0, 1, 2, 9, 30])
def test_all_of_it_is_one_distribution(n: int, largest: float) -> None:
    """Of few rows too: masses sum to 1, and every number has a finite logarithm."""
    draw = np.random.default_rng(3)
    x = np.round(draw.uniform(0.2, 1, n) * largest)

    found = marginal(x)
    far = np.array([-1e300, -1e6, -1.0, 0.0, largest + 1, 1e300])

    assert found.masses.sum().item() == pytest.approx(1, abs=1e-12)
    assert (found.masses >= 0).all()
    assert (found.knots.diff() >= 0).all()
    assert (found.masses[:, [0, -1]] > 0).all()
    assert np.isfinite(found.x_of(far[:, None])).all()


def test_what_lies_beyond_a_million_equal_rows_is_positive_and_falls() -> None:
    """It is less than 1e-12 in all, and so is what is negative."""
    for value in (0.0, 1.0, -7.0):
        found = Outside.of(np.full(2_000_000, value))

        for side in (found.lower, found.upper):
            assert (side.beyond > 0).all()
            assert (np.diff(side.beyond) < 0).all()


def test_a_column_without_values_may_have_negative_ones() -> None:
    """It has not said that it has none."""
    below, above = beyond(marginal(np.full(5, np.nan)), -0.5, 0.5)

    assert below[0] == pytest.approx(above[1], rel=1e-6)
    assert below[0] > 0.1


def test_no_draw_of_counts_is_negative() -> None:
    """Of 1e5, where many rows are 0, and where none is."""
    draw = np.random.default_rng(4)
    visits = np.round(draw.exponential(5, 1000))
    columns = (number("visits"), number("size", resolution=0.01))
    codes = np.stack([visits, np.round(draw.exponential(2, 1000) + 0.05, 2)], axis=1)
    marginals = fitted(columns, codes)
    noise = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(0))

    drawn = Table(initial_parameters(marginals), marginals).sample(noise)

    assert drawn.min(dim=0).values.tolist() >= [0.0, 0.0]
    assert (drawn[:, 0] == 0).double().mean() == pytest.approx(
        (visits == 0).mean(), abs=0.02
    )
    beyond_both = (drawn > torch.from_numpy(codes.max(axis=0))).sum(dim=0)
    assert (beyond_both < 300).all()  # 100 expected


def test_the_kernel_density_has_no_dip_at_the_ends() -> None:
    """Even rows have even probabilities up to the last one."""
    x = np.arange(0.0, 2000.0)
    edges = torch.tensor([-0.5, 19.5, 1979.5, 1999.5], dtype=torch.float64)

    below, above = marginal(x).curves.parts(edges[:, None])

    assert float(below[1] - below[0]) == pytest.approx(0.01, rel=0.1)
    assert float(above[2] - above[3]) == pytest.approx(0.01, rel=0.1)


def test_farther_out_is_rarer() -> None:
    """The p-value of a tail falls, to 2e-100 at most for what is negative."""
    draw = np.random.default_rng(5)
    x = np.round(draw.gamma(2, 50, 400)) + 3
    found = marginal(x)
    out = x.max() * np.array([1.0, 1.05, 1.2, 1.5, 3, 10, 1000])
    rows = torch.from_numpy(found.x_of(np.append(out, -1.0)[:, None]))

    p = tail_p_values(found, rows)[:, 0]

    assert (p[:-1].diff() < 0).all()
    assert p[1] < 2 / 401
    assert 0 < p[-1] < 2.1e-100
