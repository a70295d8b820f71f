"""Rows of a table are ranked by two scores more, and by their farthest cells."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.checkpoint.held_out import Calibration, Scores, ScoreSettings
from model.dataset_elbo import estimate_elbo
from model.inference.columns import TableAnomalies
from model.inference.row_anomalies import HeldOutScores, anomalies
from model.tables.layout import Planes
from model.tables.tails import log_shares, tail_p_values
from model.vae import VAE
from tests import uniformity
from tests.model.tables.tables import MIXED, mixed_codes, model

K = 4


@pytest.fixture(scope="module")
def vae() -> VAE:
    """Return a model of a table."""
    return model(MIXED, mixed_codes())


def scores(values: object, n_samples: int | None = K) -> Scores:
    """Return held-out scores, K draws each."""
    settings = ScoreSettings(
        split="validation",
        binarization="none",
        n_samples=n_samples,
        noise_seed=None if n_samples is None else 0,
    )
    return Scores(np.asarray(values, np.float64), settings)


def held_out(**further: Scores) -> HeldOutScores:
    """Return the scores that rows are ranked among."""
    negative_elbo = scores(np.linspace(5, 30, 19))
    found = HeldOutScores.of(Calibration({"negative_elbo": negative_elbo, **further}))
    assert found is not None
    return found


def rows(vae: VAE, codes: object) -> torch.Tensor:
    """Return codes in the model's units."""
    return torch.from_numpy(vae.in_model_units(np.asarray(codes, np.float64)))


def ranked(vae: VAE, x: torch.Tensor, among: HeldOutScores) -> TableAnomalies:
    """Return the columns of rows of a table."""
    found = anomalies(vae, x, among, seed=1)
    assert isinstance(found, TableAnomalies)
    return found


def farthest_of(vae: VAE, x: torch.Tensor) -> NDArray[np.float64]:
    """Return -log of the smallest p-value of a number of each row, (N,)."""
    assert vae.marginals is not None
    numbers = tail_p_values(vae.marginals, x).numpy()[:, :2]
    farthest: NDArray[np.float64] = -np.log(np.nan_to_num(numbers, nan=1).min(axis=1))
    return farthest


def test_the_ratio_is_the_score_beside_the_marginals(vae: VAE) -> None:
    """-ELBO + sum_j log p(x_j) over the known cells, ranked among its own kind."""
    x = rows(vae, mixed_codes(20, seed=1))
    ratios = np.linspace(-3, 9, 19)

    found = ranked(vae, x, held_out(ratio=scores(ratios)))

    shares = Planes.of(x).log_share.double().sum(dim=1).numpy()
    np.testing.assert_allclose(found.ratio, found.negative_elbo + shares)
    among = 1 + (ratios >= found.ratio[:, None]).sum(axis=1)
    np.testing.assert_array_equal(found.ratio_p_value, among / 20)
    assert found.tail_p_value is None
    assert found.p_value_either is None


def test_a_row_is_as_far_out_as_its_farthest_cell(vae: VAE) -> None:
    """-log of its smallest p-value; both p-values together, by Bonferroni."""
    x = rows(vae, mixed_codes(20, seed=1))
    tails, ratios = np.linspace(0, 7, 19), np.linspace(-3, 9, 19)
    among = held_out(ratio=scores(ratios), farthest_cell=scores(tails, None))

    found = ranked(vae, x, among)

    farthest = farthest_of(vae, x)
    wanted = (1 + (tails >= farthest[:, None]).sum(axis=1)) / 20
    assert found.tail_p_value is not None
    assert found.ratio_p_value is not None
    np.testing.assert_array_equal(found.tail_p_value, wanted)
    smaller = np.minimum(found.ratio_p_value, found.tail_p_value)
    np.testing.assert_array_equal(found.p_value_either, np.minimum(1, 2 * smaller))


@pytest.mark.slow("scores many rows")
def test_p_values_of_rows_like_the_held_out_ones_are_uniform(vae: VAE) -> None:
    """Of 60 rows among 2,000, by Kolmogorov-Smirnov; ties make the tails' larger."""
    x = rows(vae, mixed_codes(2000, seed=2))
    ratios = log_shares(x).numpy() - estimate_elbo(vae, x, n_samples=K, seed=5).bound
    among = held_out(
        ratio=scores(ratios), farthest_cell=scores(farthest_of(vae, x), None)
    )

    found = ranked(vae, rows(vae, mixed_codes(60, seed=3)), among)

    assert found.ratio_p_value is not None
    assert found.tail_p_value is not None
    assert found.p_value_either is not None
    assert uniformity.p_value(found.ratio_p_value) > 0.01
    for p in (found.tail_p_value, found.p_value_either):
        for level in (0.05, 0.1, 0.3):
            error = np.sqrt(level * (1 - level) / len(p))
            assert (p <= level).mean() < level + 3 * error


def test_a_cell_out_of_range_is_found_where_it_is(vae: VAE) -> None:
    """Its p-value and that of the row are small; a missing cell has none."""
    farthest = farthest_of(vae, rows(vae, mixed_codes(1000, seed=2)))
    odd = rows(vae, [[3.0, 1000.0, 1.0, np.nan]])

    found = ranked(vae, odd, held_out(farthest_cell=scores(farthest, None)))

    [per_column] = found.tail_p_value_per_column
    assert np.nanargmin(per_column) == 1
    assert per_column[1] < 1e-3
    assert np.isnan(per_column[3])
    assert found.tail_p_value is not None
    assert found.tail_p_value[0] <= 2 / 1001
    # Evidence of the number is its blame, and log 1/p of its rank, 1 in 1,001.
    [nats] = found.blame
    p_amount = (1 + (farthest >= -np.log(per_column[0])).sum()) / 1001
    evidence = nats[:3] - np.log([p_amount, 1 / 1001, 1.0])
    wanted = [*np.argsort(-evidence), 3]
    np.testing.assert_array_equal(found.blame_order, [wanted])


def test_without_held_out_cells_the_order_is_that_of_the_blame(vae: VAE) -> None:
    """The largest first, and missing cells last."""
    found = ranked(vae, rows(vae, mixed_codes(20, seed=1)), held_out())

    for nats, order in zip(found.blame, found.blame_order, strict=True):
        ordered = nats[order]
        known = ordered[~np.isnan(ordered)]
        assert (np.diff(known) <= 0).all()
        assert not np.isnan(ordered[: len(known)]).any()


def test_a_row_without_cells_is_not_far_out(vae: VAE) -> None:
    """Nothing of it is known, so its p-value is 1."""
    x = rows(vae, [[np.nan] * 4])

    found = ranked(vae, x, held_out(farthest_cell=scores(np.linspace(0, 7, 19), None)))

    np.testing.assert_array_equal(found.tail_p_value, [1.0])
    assert np.isnan(found.tail_p_value_per_column).all()


@pytest.mark.parametrize(
    ("name", "n_samples"), [("negative_elbo", None), ("regret", 4)]
)
def test_other_scores_are_no_negative_elbo(name: str, n_samples: int | None) -> None:
    """Those of another name, or without draws, are not ranked by."""
    assert HeldOutScores.of(Calibration({name: scores([0.0], n_samples)})) is None
    assert HeldOutScores.of(None) is None


def test_ratios_of_other_draws_are_not_ranked_by() -> None:
    """A score and its ratio are from the same K draws."""
    assert held_out(ratio=scores([0.0], K + 1)).ratio is None


def test_tails_are_probabilities_of_the_marginals(vae: VAE) -> None:
    """
    Two-sided with the cell in both sides, by F itself; of a category by its rivals.

    40 % of the amounts are 0: that atom counts as a whole.
    """
    marginals = vae.marginals
    assert marginals is not None
    codes = np.array([[0.0, 10.3, 0.0, 1.0], [40.0, -7.0, 3.0, 0.0]])

    found = tail_p_values(marginals, rows(vae, codes)).numpy()

    width = np.array([1.0, 0.1])
    low, high = (torch.from_numpy(codes[:, :2] + s * width / 2) for s in (-1, 1))
    _, above = marginals.curves.parts(low)
    below, _ = marginals.curves.parts(high)
    wanted = (2 * torch.minimum(above, below)).clamp(max=1).numpy()
    np.testing.assert_allclose(found[:, :2], wanted, rtol=2e-5)
    assert found[0, 0] > 0.7
    shares = marginals.shares.numpy()
    for i in range(2):
        for j in (2, 3):
            of_column = shares[j - 2]
            own = of_column[int(codes[i, j])]
            rarer = of_column[of_column <= own].sum()
            np.testing.assert_allclose(found[i, j], rarer)


def test_tails_of_the_marginal_itself_are_valid(vae: VAE) -> None:
    """P(p <= a) <= a of draws from the marginals, about a where there are few ties."""
    marginals = vae.marginals
    assert marginals is not None
    draw, n = np.random.default_rng(3), 4000
    u = torch.from_numpy(draw.random((n, 2)))
    numbers = marginals.codes_of(u, 1 - u).numpy()
    levels = [draw.choice(len(s), n, p=s / s.sum()) for s in marginals.shares.numpy()]
    codes = np.column_stack([numbers, *levels])

    p = tail_p_values(marginals, rows(vae, codes)).numpy()

    for level in (0.01, 0.05, 0.2, 0.6):
        share = (p <= level).mean(axis=0)
        assert (share < level + 4 * np.sqrt(level / n)).all()
    # A column of many numbers has few ties.
    assert abs((p[:, 1] <= 0.2).mean() - 0.2) < 0.03
