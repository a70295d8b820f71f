"""p(x|z) of a table: whole, its marginal at the start, finite, and as it draws."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.tables.curves import normal_cdf
from model.tables.layout import Planes
from model.tables.likelihood import EPSILON, Table, initial_parameters
from model.tables.marginals import Marginals
from model.tables.schema import Codes, Kind, TableColumn
from tests.model.tables.tables import (
    MIXED,
    NUMBERS,
    fitted,
    levels,
    mixed_codes,
    number,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def tensor(marginals: Marginals, codes: Codes) -> Tensor:
    """Return x of codes in float64."""
    return torch.from_numpy(marginals.x_of(codes)).double()


def of_numbers(kind: Kind, seed: int = 0) -> tuple[TableColumn, Codes]:
    """Return a column of numbers, and codes for it, (300, 1)."""
    draw = np.random.default_rng(seed)
    x = np.round(np.abs(draw.normal(8, 5, 300))).astype(np.float64)
    return number("x", kind), x[:, None]


CATEGORIES = (
    levels("c", "categorical", *"abcd"),
    levels("b", "binary", False, True),
    levels("o", "ordinal", *range(6)),
)


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize(("location", "scale"), [(0.0, 0.0), (1.5, -3.0), (-2.0, 2.0)])
def test_the_cells_of_a_column_of_numbers_sum_to_one(
    kind: Kind, location: float, scale: float
) -> None:
    """On whole numbers far beyond the data, and what is left for the rest."""
    column, codes = of_numbers(kind)
    marginals = fitted((column,), codes)
    least = 0 if kind in ("lognormal", "count") else -3000
    every = tensor(marginals, np.arange(least, 3001.0)[:, None])
    edges = torch.tensor([[least - 0.5], [3000.5]], dtype=torch.float64)
    p_x = Table(torch.tensor([location, scale]).double(), marginals)

    total = p_x.log_prob_per_dim(every).exp().sum()

    score = marginals.curves.scores(edges)[:, 0]
    ends = torch.special.ndtr(
        torch.tensor([1.0, -1.0]) * (score - p_x.location) / p_x.scale
    )
    rest = (1 - EPSILON) * ends + EPSILON * torch.special.ndtr(
        torch.tensor([1.0, -1.0]) * score
    )
    # Float32 rounds the edges of the cells.
    assert float(total + rest.sum()) == pytest.approx(1, abs=2e-5)


@pytest.mark.parametrize("column", CATEGORIES, ids=lambda column: column.kind)
def test_the_categories_of_a_column_sum_to_one(column: TableColumn) -> None:
    """With the unseen one of a categorical column, for any parameters."""
    n = column.n_levels
    codes = np.random.default_rng(0).integers(0, n - 1, (50, 1)).astype(float)
    marginals = fitted((column,), codes)
    every = np.arange(float(n + (column.kind == "categorical")))[:, None]
    parameters = 2 * random(7, 1, marginals.layout.schema.n_parameters)

    log_p = Table(parameters, marginals).log_prob_per_dim(tensor(marginals, every))

    total = log_p.exp().sum(dim=1)[:, 0]
    torch.testing.assert_close(total, torch.ones(7).double(), rtol=0, atol=1e-6)


def test_the_start_is_the_marginal() -> None:
    """At m = 0, s = 1 and the logits of the shares, of every kind."""
    columns = (*(number(kind, kind) for kind in NUMBERS), *CATEGORIES)
    draw = np.random.default_rng(3)
    numbers = np.round(np.abs(draw.normal(8, 5, (200, len(NUMBERS)))))
    codes = np.column_stack(
        [numbers, *(draw.integers(0, c.n_levels, 200) for c in CATEGORIES)]
    )
    marginals = fitted(columns, codes)
    x = tensor(marginals, codes)

    log_p = Table(initial_parameters(marginals).double(), marginals).log_prob_per_dim(x)

    log_share = Planes.of(x).log_share
    torch.testing.assert_close(log_p, log_share, rtol=0, atol=1e-3)


def test_narrow_and_wide_cells_agree() -> None:
    """A column with a resolution of 1e-9 has the density of one with 1e-3."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2000, 1))
    parameters = torch.tensor([0.3, -1.0]).double()
    found = []
    for resolution in (1e-3, 1e-9):
        marginals = fitted((number("x", "real", resolution),), x)
        log_p = Table(parameters, marginals).log_prob_per_dim(tensor(marginals, x))
        found.append(log_p[:, 0] - math.log(resolution))

    assert float((found[0] - found[1]).abs().mean()) < 2e-3


def test_no_cell_costs_more_than_its_share_of_the_marginal() -> None:
    """However wrong the parameters are."""
    marginals = fitted(MIXED, mixed_codes())
    x = tensor(marginals, mixed_codes(seed=5))
    parameters = 30 * random(400, marginals.layout.schema.n_parameters)

    log_p = Table(parameters, marginals).log_prob_per_dim(x)

    log_share = Planes.of(x).log_share
    assert (log_p >= log_share + math.log(EPSILON) - 1e-6).all()
    assert (log_p <= 1e-6).all()


@pytest.mark.parametrize("far", [1e4, 1e12, 1e300, -1e300])
@pytest.mark.parametrize("kind", ["numeric", "real", "student"])
def test_far_values_have_finite_densities_and_gradients(kind: Kind, far: float) -> None:
    """In float32, at locations and scales of any size."""
    column, codes = of_numbers(kind)
    marginals = fitted((column,), codes)
    x = torch.from_numpy(marginals.x_of(np.array([[far]])))
    parameters = torch.tensor([[0.0, 0.0], [40.0, -30.0], [-300.0, 9.0]])
    parameters.requires_grad_()

    log_p = Table(parameters, marginals).log_prob(x)
    log_p.sum().backward()  # type: ignore[no-untyped-call]  # untyped in torch

    assert log_p.isfinite().all()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


@pytest.mark.parametrize("resolution", [1.0, 0.1, 1e-9])
def test_cells_far_out_have_the_probability_of_the_tail(resolution: float) -> None:
    """
    Its density falls as x^-4, also where numbers are farther apart than cells.

    The largest numbers are so many steps of the resolution that these overflow.
    """
    _, codes = of_numbers("numeric")
    marginals = fitted((number("x", resolution=resolution),), codes)
    decades = np.array([[sign * 10.0**k] for sign in (1, -1) for k in (12, 16, 17, 40)])
    largest = np.array([[np.finfo(np.float64).max], [-np.finfo(np.float64).max]])

    log_share = Planes.of(tensor(marginals, decades)).log_share.reshape(2, 4)
    farthest = tensor(marginals, largest)

    wanted = [-4 * math.log(10) * k for k in (4, 1, 23)]
    for side in log_share:
        assert side.diff().tolist() == pytest.approx(wanted, rel=1e-5)
    assert farthest.isfinite().all()


def test_a_tail_is_precise_where_a_normal_one_underflows() -> None:
    """Nine standard deviations out, where half of 1 + erf is 0."""
    assert normal_cdf(
        torch.tensor([-9.0], dtype=torch.float64)
    ).item() == pytest.approx(1.1285884059538405e-19, rel=1e-12)


def test_missing_cells_do_not_count() -> None:
    """Their log probability is 0, whatever stands in their place."""
    marginals = fitted(MIXED, mixed_codes())
    payload = np.array([0x7FF8_0000_0BAD_F00D], np.uint64).view(np.float64)[0]
    rows = np.array([[3.0, 1.5, 1.0, 0.0]] * 2)
    rows[0, [0, 2]] = np.nan
    rows[1, [0, 2]] = payload, -payload
    parameters = random(1, marginals.layout.schema.n_parameters).requires_grad_()

    log_p = Table(parameters, marginals).log_prob_per_dim(tensor(marginals, rows))
    log_p.sum().backward()  # type: ignore[no-untyped-call]  # untyped in torch

    assert torch.equal(log_p[0], log_p[1])
    assert log_p[:, [0, 2]].eq(0).all()
    assert log_p[:, [1, 3]].lt(0).all()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def test_draws_have_the_probabilities_of_their_cells() -> None:
    """Every drawn cell is legal, and as frequent as its probability says."""
    n = 40_000
    marginals = fitted(MIXED, mixed_codes())
    parameters = random(marginals.layout.schema.n_parameters, seed=2)
    noise = torch.rand(n, 4, generator=torch.Generator().manual_seed(0))
    p_x = Table(parameters.expand(n, -1), marginals)

    codes = p_x.sample(noise).numpy()

    one = Table(parameters, marginals)
    for j, column in enumerate(MIXED):
        steps = codes[:, j] / column.width
        assert np.allclose(steps, np.round(steps))
        values, counts = np.unique(codes[:, j], return_counts=True)
        often = counts > 200
        rows = np.full((int(often.sum()), 4), np.nan)
        rows[:, j] = values[often]
        p = one.log_prob_per_dim(tensor(marginals, rows))[:, j].exp().numpy()
        error = np.sqrt(p * (1 - p) / n)
        assert (np.abs(counts[often] / n - p) < 4.5 * error + 1e-6).all()


@pytest.mark.parametrize("location", [-40.0, 40.0])
@pytest.mark.parametrize("kind", ["numeric", "real", "student"])
def test_draws_and_means_of_a_far_location_stay_near_the_column(
    kind: Kind, location: float
) -> None:
    """Within the quantiles of 3e-8, whatever the decoder says of some z."""
    column, codes = of_numbers(kind)
    marginals = fitted((column,), codes)
    p_x = Table(torch.tensor([location, 0.0]).double(), marginals)
    ends = torch.tensor([[2.0**-25], [1 - 2.0**-25]], dtype=torch.float64)

    drawn = p_x.sample(torch.tensor([[0.1], [0.5], [0.9]]))

    low, high = marginals.codes_of(ends, 1 - ends)[:, 0]
    assert low - 1 <= drawn.min() <= drawn.max() <= high + 1
    assert low - 1 <= p_x.mean.min() <= p_x.mean.max() <= high + 1


def test_means_are_those_of_draws() -> None:
    """Of numbers; of categories it is the most frequent one."""
    n = 60_000
    marginals = fitted(MIXED, mixed_codes())
    parameters = random(marginals.layout.schema.n_parameters, seed=2)
    noise = torch.rand(n, 4, generator=torch.Generator().manual_seed(1))
    draws = Table(parameters.expand(n, -1), marginals).sample(noise)

    p_x = Table(parameters, marginals)

    spread = draws.std(dim=0)
    assert ((draws.mean(dim=0) - p_x.mean)[:2].abs() < 0.03 * spread[:2]).all()
    for j in (2, 3):
        assert int(draws[:, j].long().bincount().argmax()) == int(p_x.mean[j])
    shares = draws[:, 2].long().bincount() / n
    assert float(p_x.variance[2]) == pytest.approx(1 - float(shares.max()), abs=0.02)


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize(("location", "scale"), [(0.0, 0.0), (0.8, -0.5), (-1.0, -0.2)])
def test_moments_are_those_of_the_cells(
    kind: Kind, location: float, scale: float
) -> None:
    """
    Mean and variance are sums over cells, with those far out.

    To 2 percent: whole numbers with a spread of 5, for which 64 points stand.
    """
    column, codes = of_numbers(kind)
    marginals = fitted((column,), codes)
    every = np.arange(0.0 if kind in ("lognormal", "count") else -6000.0, 6001.0)
    p_x = Table(torch.tensor([location, scale]).double(), marginals)
    log_p = p_x.log_prob_per_dim(tensor(marginals, every[:, None]))
    p = log_p[:, 0].exp().numpy()

    found = p_x.indicators

    mean = float(p @ every / p.sum())
    variance = float(p @ (every - mean) ** 2 / p.sum())
    assert float(found.mean[0]) == pytest.approx(mean, abs=0.01 * variance**0.5)
    assert float(found.variance[0]) == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ([math.inf, 0, 0, 0], "column 'amount': expected a finite number"),
        ([0, 0, 4, 0], "column 'group': expected a category from 0 to 3"),
        ([0, 0, 0, 0.5], "column 'flag': expected a category from 0 to 1"),
    ],
)
def test_codes_of_nothing_are_refused(code: list[float], what: str) -> None:
    """The error names the row, the column and what was expected."""
    marginals = fitted(MIXED, mixed_codes())

    with pytest.raises(ValueError, match=f"row 1, {what}"):
        marginals.x_of(np.array([[0.0, 0, 0, 0], code]))


def test_codes_in_the_bytes_of_a_request_are_read_without_a_warning() -> None:
    """They are read-only; a service would print what torch says about such arrays."""
    marginals, codes = fitted(MIXED, mixed_codes()), np.zeros((1, 4))
    wanted = marginals.x_of(codes)
    codes.flags.writeable = False

    torch.set_warn_always(True)
    try:
        found = marginals.x_of(codes)
    finally:
        torch.set_warn_always(False)

    assert np.array_equal(found, wanted)
