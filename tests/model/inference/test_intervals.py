"""Intervals of missing cells are quantiles of p(x_j | x_o), and say what they cover."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from model.inference.imputation import impute
from model.inference.intervals import CellIntervals, cell_intervals
from model.inference.latents import Latents, latents
from model.tables.curves import normal_scores
from model.tables.likelihood import EPSILON, Table
from model.tables.schema import Codes
from model.vae import VAE
from tests.model.tables.tables import MIXED, levels, mixed_codes, model, number

COLUMNS = (
    number("amount"),
    number("size", resolution=0.1),
    levels("shirt", "ordinal", "S", "M", "L"),
    levels("group", "categorical", "a", "b", "c"),
)


def codes_of_people(n: int) -> Codes:
    """Return amounts that are often 0, sizes, shirts that go by size, and groups."""
    codes = mixed_codes(n)
    draw = np.random.default_rng(1)
    shirts = np.clip(np.nan_to_num(codes[:, 1], nan=10.0) // 10, 0, 2)
    groups = draw.integers(0, 3, n)
    return np.column_stack([codes[:, :2], shirts, groups.astype(float)])


@pytest.fixture(scope="module")
def vae() -> VAE:
    """Return a model with J = 1, whose integrals over z are sums on a grid."""
    return model(COLUMNS, codes_of_people(400), latent_dim=1)


def given(vae: VAE, codes: Codes, *, n_draws: int, seed: int) -> tuple[Tensor, Latents]:
    """Return the mask of rows, and draws of z given what is known of them."""
    x = torch.from_numpy(vae.in_model_units(codes))
    observed = torch.from_numpy(~np.isnan(codes))
    return observed, latents(vae, x, observed, n_draws=n_draws, seed=seed)


def intervals(
    vae: VAE, codes: Codes, *, level: float, n_draws: int = 1024, seed: int = 0
) -> CellIntervals:
    """Return the intervals of rows with missing cells."""
    observed, drawn = given(vae, codes, n_draws=n_draws, seed=seed)
    return cell_intervals(vae, observed, drawn, level=level)


def below(vae: VAE, group: float, edges: Codes) -> Codes:
    """Return P(x_j < edge | group) of columns with an axis, by quadrature, (E, S)."""
    marginals = vae.marginals
    assert marginals is not None
    z = torch.linspace(-8, 8, 1601)[:, None]
    p_x = vae.decode(z)
    assert isinstance(p_x, Table)
    row = vae.in_model_units(np.array([[np.nan, np.nan, np.nan, group]]))
    log_p = p_x.log_prob(torch.from_numpy(row)).double() - 0.5 * z[:, 0].double() ** 2
    weights = torch.softmax(log_p, dim=0)
    score = normal_scores(*marginals.curves.parts(torch.from_numpy(edges)))
    moved = (score[:, None] - p_x.location.double()) / p_x.scale.double()
    share = (weights[:, None] * torch.special.ndtr(moved)).sum(dim=1)
    found: Codes = ((1 - EPSILON) * share + EPSILON * torch.special.ndtr(score)).numpy()
    return found


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_ends_are_quantiles_and_the_probability_is_that_between(
    vae: VAE, level: float
) -> None:
    """Of p(x_j | group), by quadrature; within 4 standard errors."""
    codes = np.array([[np.nan, np.nan, np.nan, 2.0]])

    found = intervals(vae, codes, level=level, n_draws=4096)

    low, high = found.low[0, :3].numpy(), found.high[0, :3].numpy()
    half = np.array([0.5, 0.05, 0.5])
    edges = np.stack([low - half, low + half, high - half, high + half])
    before_low, past_low, before_high, past_high = below(vae, 2.0, edges)
    error = found.probability_standard_error[0, :3].numpy()
    outside = (1 - level) / 2
    assert (error < 0.02).all()
    assert (before_low <= outside + 4 * error).all()
    assert (past_low >= outside - 4 * error).all()
    assert (before_high <= 1 - outside + 4 * error).all()
    assert (past_high >= 1 - outside - 4 * error).all()
    exact = past_high - before_low
    assert (np.abs(found.probability[0, :3].numpy() - exact) < 4 * error + 1e-4).all()
    assert (found.probability[0, :3].numpy() > level - 4 * error).all()


@pytest.mark.slow("computes many estimates")
def test_the_error_of_the_probability_is_calibrated(vae: VAE) -> None:
    """Over 16 seeds, RMS(error / SE) of one interval is near 1."""
    codes = np.array([[np.nan, np.nan, np.nan, 1.0]])

    found = [intervals(vae, codes, level=0.8, n_draws=128, seed=s) for s in range(16)]

    shirts = [(float(one.low[0, 2]), float(one.high[0, 2])) for one in found]
    assert len(set(shirts)) == 1
    edges = np.array([[0.0, 0.0, shirts[0][i] + s] for i, s in ((0, -0.5), (1, 0.5))])
    first, last = below(vae, 1.0, edges)[:, 2]
    p = np.array([float(one.probability[0, 2]) for one in found])
    error = np.array([float(one.probability_standard_error[0, 2]) for one in found])
    assert 0.6 < np.sqrt(np.mean(((p - (last - first)) / error) ** 2)) < 1.4


@pytest.mark.slow("draws many")
def test_draws_lie_in_the_interval_as_often_as_it_says(vae: VAE) -> None:
    """Of 4,000 draws of x given x_o, which have noise of their own."""
    codes = np.array([[np.nan, np.nan, np.nan, 0.0]])
    observed, drawn = given(vae, codes, n_draws=4096, seed=0)
    x = torch.from_numpy(vae.in_model_units(codes))

    found = cell_intervals(vae, observed, drawn, level=0.7)

    draws = impute(vae, x, observed, drawn, n_samples=4000, seed=1).x[:, 0, :3]
    inside = (draws >= found.low[0, :3]) & (draws <= found.high[0, :3])
    share = inside.double().mean(dim=0)
    assert ((share - found.probability[0, :3]).abs() < 0.03).all()


def test_what_is_known_or_has_no_order_has_no_interval() -> None:
    """It is NaN there, and there only."""
    vae = model(MIXED, mixed_codes())
    codes = np.array([[3.0, np.nan, np.nan, 1.0], [np.nan, 9.0, 1.0, np.nan]])

    found = intervals(vae, codes, level=0.9, n_draws=64)

    wanted = [[True, False, True, True], [False, True, True, True]]
    for values in found:
        assert values.isnan().tolist() == wanted


def test_a_model_of_numbers_has_no_intervals(
    build: Callable[..., VAE], vae: VAE
) -> None:
    """Its columns have no marginals."""
    observed, drawn = given(vae, codes_of_people(1), n_draws=64, seed=0)

    with pytest.raises(ValueError, match="expected a model of a table"):
        cell_intervals(build(), observed, drawn, level=0.9)


@pytest.mark.slow("draws many imputations")
def test_probabilities_of_categories_are_those_of_the_draws(vae: VAE) -> None:
    """Where missing they sum to 1; where observed one is 1, without error."""
    codes = np.array([[3.0, np.nan, 1.0, np.nan], [3.0, np.nan, 1.0, 2.0]])
    observed, drawn = given(vae, codes, n_draws=1024, seed=0)
    x = torch.from_numpy(vae.in_model_units(codes))

    found = impute(vae, x, observed, drawn, n_samples=4000, seed=1)

    p, error = found.levels, found.levels_standard_error
    torch.testing.assert_close(p[0].sum(), torch.tensor(1.0, dtype=torch.float64))
    shares = torch.bincount(found.x[:, 0, 3].long(), minlength=3) / 4000
    assert ((p[0] - shares).abs() < 0.03 + 3 * error[0]).all()
    assert p[1].tolist() == [0.0, 0.0, 1.0]
    assert error[1].tolist() == [0.0] * 3
    assert float(1 - p[0].max()) == pytest.approx(float(found.variance[0, 3]))
    assert float(error[0][p[0].argmax()]) == float(found.mean_standard_error[0, 3])
