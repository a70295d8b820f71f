"""
Analyses of the rows of x, (N, D), with results as columns, one array per quantity.

The service and `python -m model.evaluate` both use it and thus give the same figures.
Rows are computed in slices whose size depends only on the model and the options; the
noise of a row depends on its position, never on the slice.
"""

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from model.config import Config
from model.inference import (
    blame,
    bounds,
    gap,
    imputation,
    intervals,
    latents,
    posterior,
    posterior_grid,
    refinement,
    row_anomalies,
)
from model.inference.bounds import ImportanceWeighted
from model.inference.bracket import N_DECODED, upper_bound
from model.inference.budget import MIN_BUDGET
from model.inference.columns import (
    Bracketed,
    Evidence,
    Gaps,
    Imputed,
    Posteriors,
    Refined,
    TableImputed,
    column,
    columns_by_name,
    concatenate,
    in_data_units,
    optional_column,
)
from model.inference.cubature import default_points
from model.inference.effort import Effort
from model.inference.evidence import assemble, explore, log_evidence
from model.inference.fitting import max_points
from model.vae import VAE

DEFAULT_LEVEL = 0.9  # of intervals
MAX_LATENT_DIM = posterior.MAX_LATENT_DIM
N_GRID = posterior_grid.N_GRID
round_draws = latents.round_draws
anomalies = row_anomalies.anomalies
n_draws_to_blame = blame.n_draws_to_blame

_MAX_QUADRATURE = {1: 65_537, 2: 1025**2}

_MAX_SLICE_ROWS = 16
_SLICE_VALUES = 1 << 25


def evidence(
    vae: VAE, x: Tensor, effort: Effort, *, seed: int, first: int = 0
) -> Evidence:
    """
    Estimate log p(x), or the bound L_K if K is given.

    See `log_evidence` and `importance_weighted`.
    """
    found = Evidence.of(_lower(vae, x, effort, seed=seed, first=first))
    return in_data_units(found, vae.log_jacobian)


def bracket(
    vae: VAE, x: Tensor, effort: Effort, *, seed: int, first: int = 0
) -> Bracketed:
    """
    Estimate log p(x), or the bound L_K if K is given, and bound it from above.

    See `upper_bound`.
    """
    target, budget = effort.target, effort.budget
    if effort.n_samples is not None:  # the bound L_K, and a short exploration
        target, budget = math.inf, MIN_BUDGET
    explored = explore(vae, x, target=target, budget=budget, seed=seed, first=first)
    if effort.n_samples is None:
        lower = assemble(explored, x)
    else:
        lower = _lower(vae, x, effort, seed=seed, first=first)
    upper = upper_bound(vae, x, explored, seed=seed, first=first)
    found = Bracketed(
        **columns_by_name(Evidence.of(lower)),
        upper=column(upper.bound.value),
        upper_standard_error=column(upper.bound.standard_error),
        r_hat=column(upper.r_hat),
        acceptance=column(upper.acceptance),
    )
    return in_data_units(found, vae.log_jacobian)


def refine(vae: VAE, x: Tensor, *, seed: int, first: int = 0) -> Refined:
    """Optimize mu and log sigma^2 of q(z|x) for each example; see `refine`."""
    found = refinement.refine(vae, x, seed=seed, first=first)
    columns = Refined(
        mu=column(found.q_z.mu),
        log_var=column(found.q_z.log_var),
        elbo_before=column(found.before.value),
        elbo_before_standard_error=column(found.before.standard_error),
        elbo_after=column(found.after.value),
        elbo_after_standard_error=column(found.after.standard_error),
        improvement=column(found.improvement.value),
        improvement_standard_error=column(found.improvement.standard_error),
        n_steps=column(found.n_steps),
        converged=column(found.converged),
    )
    return in_data_units(columns, vae.log_jacobian)


def gaps(
    vae: VAE, x: Tensor, *, target: float, budget: int, seed: int, first: int = 0
) -> Gaps:
    """Split log p(x) - ELBO into the approximation and the amortization gap."""
    found = gap.gap(vae, x, target=target, budget=budget, seed=seed, first=first)
    lower, best = found.log_p_x, found.refinement
    columns = Gaps(
        log_p_x=column(lower.bound.value),
        log_p_x_standard_error=column(lower.bound.standard_error),
        elbo_before=column(best.before.value),
        elbo_before_standard_error=column(best.before.standard_error),
        elbo_after=column(best.after.value),
        elbo_after_standard_error=column(best.after.standard_error),
        approximation_gap=column(found.approximation.value),
        approximation_gap_standard_error=column(found.approximation.standard_error),
        amortization_gap=column(found.amortization.value),
        amortization_gap_standard_error=column(found.amortization.standard_error),
        total_gap=column(found.total.value),
        total_gap_standard_error=column(found.total.standard_error),
        n_samples=column(lower.n_samples),
        pareto_k=column(lower.pareto_k),
        is_reliable=optional_column(lower.is_reliable),
        converged=column(best.converged),
    )
    return in_data_units(columns, vae.log_jacobian)


def posteriors(vae: VAE, x: Tensor) -> Posteriors:
    """
    Integrate p(x, z) over z for each example; see `posterior` and `kl_to_posterior`.

    z is decoded in float64, so that the errors need not include float32 rounding.

    Examples are computed one at a time, so that the bits of one do not depend on the
    others.

    Raises:
        ValueError: The model has more than two latent dimensions.
    """
    wide = copy.deepcopy(vae).double()
    found = concatenate(
        [posterior_grid.integrate(vae, wide, example) for example in torch.split(x, 1)]
    )
    return in_data_units(found, vae.log_jacobian)


def impute(
    vae: VAE,
    x: Tensor,
    observed: Tensor,
    *,
    n_draws: int,
    n_samples: int,
    seed: int,
    first: int = 0,
    level: float = DEFAULT_LEVEL,
) -> Imputed:
    """
    Impute missing values given the observed ones; see `impute`.

    Args:
        level: The probability of the intervals of a table; see `cell_intervals`.
    """
    given = latents.latents(vae, x, observed, n_draws=n_draws, seed=seed, first=first)
    found = imputation.impute(
        vae, x, observed, given, n_samples=n_samples, seed=seed, first=first
    )
    columns = Imputed(
        mean=column(found.mean),
        mean_standard_error=column(found.mean_standard_error),
        variance=column(found.variance),
        variance_standard_error=column(found.variance_standard_error),
        samples=column(found.x.transpose(0, 1)),
        effective_sample_size=column(given.effective_sample_size),
        log_p_observed=column(given.log_p_observed),
        log_p_observed_standard_error=column(given.log_p_observed_standard_error),
        is_reliable=column(given.is_reliable),
    )
    if vae.marginals is not None:
        between = intervals.cell_intervals(vae, observed, given, level=level)
        return TableImputed(
            **columns_by_name(columns),
            interval_low=column(between.low),
            interval_high=column(between.high),
            interval_probability=column(between.probability),
            interval_probability_standard_error=column(
                between.probability_standard_error
            ),
            probabilities=column(found.levels),
            probabilities_standard_error=column(found.levels_standard_error),
        )
    return columns if vae.units is None else columns.in_units(vae.units, observed)


def n_draws_to_impute(config: Config, *, n_draws: int, n_samples: int) -> int:
    """Return the most draws of z that imputing one example decodes."""
    return latents.max_decoded(config.latent_dim, n_draws=n_draws, n_samples=n_samples)


def n_draws_to_refine(config: Config) -> int:
    """Return roughly the most draws of z that refining one example decodes."""
    measured = 2 * refinement.N_FRAMES * (2 * config.latent_dim + 1)
    return default_points(config.latent_dim) * refinement.MAX_STEPS + measured


def n_draws_to_bound(config: Config) -> int:
    """Return roughly how many draws of z an upper bound for one example decodes."""
    return max_points(config.latent_dim) + MIN_BUDGET + N_DECODED


def n_draws_to_integrate(config: Config) -> int:
    """Return the most values of z that quadrature decodes for one example."""
    return 2 * _MAX_QUADRATURE[config.latent_dim]


def n_values_decoded(config: Config, draws: int) -> int:
    """Return how many values this many draws for one example take."""
    return draws * config.values_per_draw


def slices(n_rows: int, *, values_per_row: int) -> Iterator[slice]:
    """
    Split rows into slices of bounded work; each slice is computed at once.

    The size is a power of two, at most 16. So data that are sent in pieces, split at
    multiples of 16 rows, are computed in the same slices and give the same bits.
    """
    most = min(_MAX_SLICE_ROWS, max(1, _SLICE_VALUES // values_per_row))
    size = 1 << (most.bit_length() - 1)
    return (slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size))


def _lower(
    vae: VAE, x: Tensor, effort: Effort, *, seed: int, first: int
) -> ImportanceWeighted:
    """Return the estimate of log p(x), or the lower bound L_K."""
    if effort.n_samples is not None:
        return bounds.importance_weighted(
            vae, x, n_samples=effort.n_samples, seed=seed, first=first
        )
    return log_evidence(
        vae, x, target=effort.target, budget=effort.budget, seed=seed, first=first
    )
