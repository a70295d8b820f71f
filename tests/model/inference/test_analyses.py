"""Analyses as columns: the figures of the model, whatever the slices."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from model.checkpoint.held_out import Calibration, Scores, ScoreSettings
from model.config import Config
from model.elbo import elbo
from model.inference import analyses
from model.inference.anomaly import p_values, surprise
from model.inference.bounds import importance_weighted
from model.inference.columns import Analysis, Imputed, columns_by_name, concatenate
from model.inference.effort import Effort
from model.inference.gap import gap
from model.inference.imputation import impute
from model.inference.latents import latents
from model.inference.refinement import refine
from model.inference.row_anomalies import HeldOutScores
from model.noise import Stream, standard_normal
from model.vae import VAE
from tests.model.ppca import Build, Ppca, ppca, random

EFFORT = Effort.adaptive(target=0.02, budget=4096)


@pytest.fixture
def model(build: Build) -> Ppca:
    """Return a linear-Gaussian model of two latent dimensions."""
    return ppca(build, 2)


def test_evidence_is_that_of_the_bound(model: Ppca) -> None:
    """Every column is the field of `ImportanceWeighted` that it is named after."""
    found = analyses.evidence(model.vae, model.x, Effort.fixed(16), seed=3)

    wanted = importance_weighted(model.vae, model.x, n_samples=16, seed=3)
    np.testing.assert_array_equal(found.log_p_x, wanted.bound.value)
    np.testing.assert_array_equal(
        found.log_p_x_standard_error, wanted.bound.standard_error
    )
    np.testing.assert_array_equal(found.log_p_x_pooled, wanted.pooled)
    np.testing.assert_array_equal(
        found.effective_sample_size, wanted.effective_sample_size
    )
    np.testing.assert_array_equal(found.pareto_k, wanted.pareto_k)
    assert found.is_reliable is None
    assert wanted.is_reliable is None
    assert (found.n_samples == 16).all()


@pytest.mark.slow("computes upper bounds")
def test_both_sides_enclose_the_evidence(model: Ppca) -> None:
    """The lower bound is below log p(x) and the upper above, but for their noise."""
    found = analyses.bracket(model.vae, model.x, EFFORT, seed=3)

    exact = model.log_p_x.numpy()
    below = exact + 4 * found.log_p_x_standard_error
    # The decoder's softplus is the identity from 20 on, 2e-9 off.
    above = exact - 4 * found.upper_standard_error - 1e-7
    assert (found.log_p_x < below).all()
    assert (found.upper > above).all()
    assert (np.abs(found.upper - found.log_p_x) < 0.2).all()
    assert ((found.acceptance > 0.5) & (found.acceptance <= 1)).all()
    assert (found.r_hat < 1.1).all()


def test_refined_is_the_refinement(model: Ppca) -> None:
    """Every column is the field of `Refinement` that it is named after."""
    found = analyses.refine(model.vae, model.x, seed=3)

    wanted = refine(model.vae, model.x, seed=3)
    np.testing.assert_array_equal(found.mu, wanted.q_z.mu)
    np.testing.assert_array_equal(found.log_var, wanted.q_z.log_var)
    for name, estimate in (
        ("elbo_before", wanted.before),
        ("elbo_after", wanted.after),
        ("improvement", wanted.improvement),
    ):
        np.testing.assert_array_equal(getattr(found, name), estimate.value)
        np.testing.assert_array_equal(
            getattr(found, f"{name}_standard_error"), estimate.standard_error
        )
    np.testing.assert_array_equal(found.n_steps, wanted.n_steps)
    np.testing.assert_array_equal(found.converged, wanted.converged)


@pytest.mark.slow("computes analyses")
def test_gaps_are_those_of_the_model(model: Ppca) -> None:
    """Every column is the field of `Gap` that it is named after."""
    found = analyses.gaps(model.vae, model.x, target=0.02, budget=4096, seed=3)

    wanted = gap(model.vae, model.x, target=0.02, budget=4096, seed=3)
    for name, estimate in (
        ("log_p_x", wanted.log_p_x.bound),
        ("elbo_before", wanted.refinement.before),
        ("elbo_after", wanted.refinement.after),
        ("approximation_gap", wanted.approximation),
        ("amortization_gap", wanted.amortization),
        ("total_gap", wanted.total),
    ):
        np.testing.assert_array_equal(getattr(found, name), estimate.value)
        np.testing.assert_array_equal(
            getattr(found, f"{name}_standard_error"), estimate.standard_error
        )


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_the_grid_holds_the_posterior(build: Build, latent_dim: int) -> None:
    """What is on it integrates to 1, with the moments of the closed form."""
    model = ppca(build, latent_dim)

    found = analyses.posteriors(model.vae, model.x)

    assert found.axes.shape == (4, latent_dim, analyses.N_GRID[latent_dim])
    assert found.log_posterior.shape == (4, *found.axes.shape[2:] * latent_dim)
    steps = np.diff(found.axes, axis=2)
    np.testing.assert_allclose(steps, steps[:, :, :1] * np.ones(steps.shape[2]))
    over = tuple(range(1, 1 + latent_dim))
    cell = steps[:, :, 0].prod(axis=1)
    mass = np.exp(found.log_posterior).sum(axis=over) * cell
    np.testing.assert_allclose(mass, 1, rtol=1e-6)
    np.testing.assert_allclose(found.log_p_x, model.log_p_x, atol=1e-6)
    np.testing.assert_allclose(found.kl, model.gap, atol=2e-6)
    mean = model.r @ model.w @ model.m.inverse()
    np.testing.assert_allclose(found.mean, mean, atol=1e-6)
    assert found.converged.all()


def test_the_grid_has_the_first_dimension_first(build: Build) -> None:
    """Log q at a grid point is that of z = (axis 1, axis 2) there."""
    model = ppca(build, 2)

    found = analyses.posteriors(model.vae, model.x)

    i, j, n = 40, 90, 1
    z = torch.from_numpy(found.axes[n, [0, 1], [i, j]])
    log_q = model.vae.encode(model.x).log_prob(z)[n]
    np.testing.assert_allclose(found.log_q[n, i, j], log_q, rtol=1e-9)


@pytest.mark.parametrize("result", get_args(Analysis))
def test_results_are_filled_by_name_only(result: Callable[..., Analysis]) -> None:
    """Figures without names are refused, so that no two of them change places."""
    figures = [np.zeros(1)] * 20

    with pytest.raises(TypeError, match="positional argument"):
        result(*figures)


@pytest.mark.slow("computes analyses twice")
def test_slices_change_nothing(build: Build) -> None:
    """Rows in slices, each at its position, have the columns of the whole."""
    vae = build().requires_grad_(False)
    x = (random(5, 6, seed=3) > 0).double()
    whole = analyses.gaps(vae, x, target=0.05, budget=1024, seed=1)

    parts = concatenate(
        [
            analyses.gaps(
                vae, x[rows], target=0.05, budget=1024, seed=1, first=rows.start
            )
            for rows in (slice(0, 2), slice(2, 5))
        ]
    )

    for name, column in columns_by_name(whole).items():
        np.testing.assert_allclose(
            getattr(parts, name), column, atol=1e-9, err_msg=name
        )


@pytest.mark.slow("computes many estimates")
@pytest.mark.parametrize(
    "analysis",
    [
        lambda vae, x: analyses.evidence(vae, x, EFFORT, seed=1),
        lambda vae, x: analyses.bracket(vae, x, EFFORT, seed=1),
        lambda vae, x: analyses.refine(vae, x, seed=1),
        lambda vae, x: analyses.gaps(vae, x, target=0.1, budget=512, seed=1),
        analyses.posteriors,
    ],
    ids=["evidence", "bracketed", "refined", "gaps", "posteriors"],
)
def test_everything_lies_where_x_does(
    model: Ppca, analysis: Callable[[VAE, Tensor], Analysis]
) -> None:
    """With another device as default each runs, and gives the same."""
    expected = analysis(model.vae, model.x)

    with torch.device("meta"):
        found = analysis(model.vae, model.x)

    for name, column in columns_by_name(found).items():
        np.testing.assert_array_equal(
            column, columns_by_name(expected)[name], err_msg=name
        )


@pytest.mark.parametrize("n_rows", [1, 16, 17, 40])
@pytest.mark.parametrize(
    ("values_per_row", "size"),
    [(1, 16), (1 << 22, 8), (6_000_000, 4), (1 << 25, 1), (1 << 40, 1)],
)
def test_slices_cover_the_rows(n_rows: int, values_per_row: int, size: int) -> None:
    """Every row is in one slice, in order, and none is longer than its work allows."""
    cut = list(analyses.slices(n_rows, values_per_row=values_per_row))

    rows = [i for part in cut for i in range(part.start, part.stop)]
    assert rows == list(range(n_rows))
    assert all(part.stop - part.start == size for part in cut[:-1])
    assert cut[-1].stop - cut[-1].start <= size


@pytest.mark.parametrize(("n_samples", "draws"), [(5, 160), (5000, 5000)])
def test_a_fixed_effort_takes_its_draws_and_no_more(n_samples: int, draws: int) -> None:
    """K draws for each block are the whole budget."""
    effort = Effort.fixed(n_samples)

    assert effort == (n_samples, 0.0, draws)


def test_a_target_of_nought_is_still_one(model: Ppca) -> None:
    """It estimates log p(x) until the budget is spent; K alone gives the bound."""
    effort = Effort.adaptive(target=0.0, budget=1024)

    found = analyses.evidence(model.vae, model.x, effort, seed=1)

    assert found.is_reliable is not None
    assert found.is_reliable.all()
    assert (found.n_samples == 1024).all()


def test_sizes_grow_with_the_model(build: Build) -> None:
    """Work is counted in the larger of D and J, and grows with both."""
    narrow: Config = build(latent_dim=2).config
    deep: Config = build(latent_dim=40).config

    assert analyses.n_values_decoded(narrow, 10) == 60
    assert analyses.n_values_decoded(deep, 10) == 400
    assert analyses.n_draws_to_refine(deep) > analyses.n_draws_to_refine(narrow)
    assert analyses.n_draws_to_bound(deep) > analyses.n_draws_to_bound(narrow)
    assert analyses.n_draws_to_integrate(narrow) == 2 * 1025**2


def test_anomalies_are_ranked_elbos(build: Build) -> None:
    """Every column is what it is named after, of noise by position."""
    vae = build().requires_grad_(False)
    x = (random(5, 6) > 0).double()
    settings = ScoreSettings(
        split="validation", binarization="static", n_samples=3, noise_seed=0
    )
    scores = Scores(np.linspace(2, 8, 19), settings)
    held_out = HeldOutScores.of(Calibration({"negative_elbo": scores}))
    assert held_out is not None

    found = analyses.anomalies(vae, x, held_out, seed=3, first=2)

    noise = [
        standard_normal((3, 3), seed=3, stream=Stream.ANOMALY, index=(2 + i, 0))
        for i in range(5)
    ]
    eps = torch.from_numpy(np.stack(noise, axis=1)).double()
    score = -elbo(vae, x, eps=eps).bound.numpy()
    np.testing.assert_allclose(found.negative_elbo, score, rtol=1e-12)
    wanted = p_values(found.negative_elbo, scores.values)
    np.testing.assert_array_equal(found.p_value_upper, wanted.upper)
    np.testing.assert_array_equal(found.p_value_lower, wanted.lower)
    np.testing.assert_array_equal(found.p_value_two_sided, wanted.two_sided)
    per_dim = surprise(vae, x, eps=eps).per_dim
    np.testing.assert_allclose(found.surprise_per_dim, per_dim, rtol=1e-12)
    each = np.stack([-elbo(vae, x, eps=one[None]).bound.numpy() for one in eps])
    assert found.negative_elbo_standard_error is not None
    np.testing.assert_allclose(
        found.negative_elbo_standard_error, each.std(axis=0, ddof=1) / np.sqrt(3)
    )


def test_a_score_of_one_draw_has_no_error(build: Build) -> None:
    """One draw has no spread, so there is no column."""
    settings = ScoreSettings(
        split="validation", binarization="static", n_samples=1, noise_seed=0
    )
    scores = Scores(np.linspace(2, 8, 19), settings)
    held_out = HeldOutScores.of(Calibration({"negative_elbo": scores}))
    assert held_out is not None

    found = analyses.anomalies(build(), torch.zeros(1, 6).double(), held_out, seed=3)

    assert found.negative_elbo_standard_error is None


def test_imputed_is_the_imputation(model: Ppca) -> None:
    """Every column is the field that it is named after, samples by row."""
    observed = torch.tensor([[1, 0, 1, 0, 1]] * 4).bool()
    found = analyses.impute(
        model.vae, model.x, observed, n_draws=50, n_samples=3, seed=3, first=1
    )

    given = latents(model.vae, model.x, observed, n_draws=50, seed=3, first=1)
    wanted = impute(model.vae, model.x, observed, given, n_samples=3, seed=3, first=1)
    np.testing.assert_array_equal(found.mean, wanted.mean)
    np.testing.assert_array_equal(found.variance, wanted.variance)
    np.testing.assert_array_equal(found.samples, wanted.x.transpose(0, 1))
    np.testing.assert_array_equal(found.mean_standard_error, wanted.mean_standard_error)
    np.testing.assert_array_equal(
        found.variance_standard_error, wanted.variance_standard_error
    )
    np.testing.assert_array_equal(found.log_p_observed, given.log_p_observed)
    np.testing.assert_array_equal(
        found.log_p_observed_standard_error, given.log_p_observed_standard_error
    )
    np.testing.assert_array_equal(found.is_reliable, given.is_reliable)
    ess = given.effective_sample_size
    np.testing.assert_array_equal(found.effective_sample_size, ess)


def test_imputations_of_rows_are_their_own(model: Ppca) -> None:
    """Rows apart, each at its position, have the columns of the whole."""
    observed = torch.tensor([[1, 0, 1, 0, 1]] * 4).bool()

    def imputed(rows: slice) -> Imputed:
        return analyses.impute(
            model.vae,
            model.x[rows],
            observed[rows],
            n_draws=50,
            n_samples=3,
            seed=3,
            first=rows.start,
        )

    whole = imputed(slice(0, 4))
    parts = concatenate([imputed(slice(0, 1)), imputed(slice(1, 4))])

    for name, column in columns_by_name(whole).items():
        np.testing.assert_allclose(
            getattr(parts, name), column, rtol=1e-6, atol=1e-8, err_msg=name
        )
