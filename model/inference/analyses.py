"""
Analyses of the rows of x, (N, D): results as columns, one array per quantity.

The service and `python -m model.evaluate` share it, so that both give the same figures.
Rows are computed in slices whose size depends on the model and on what is asked alone;
a row's noise depends on its position alone, never on the slice.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from model.checkpoint.held_out import Scores
from model.config import Config
from model.distributions import DiagonalGaussian
from model.inference import anomaly, bounds, gap, imputation, posterior, refinement
from model.inference.bounds import ImportanceWeighted
from model.inference.bracket import upper_bound
from model.inference.columns import (
    Anomalies,
    Bracketed,
    Column,
    Evidence,
    Gaps,
    Imputed,
    Posteriors,
    Refined,
    joined,
)
from model.inference.cubature import default_points
from model.inference.effort import Effort
from model.inference.posterior import Posterior
from model.inference.proposals import encoded
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

MAX_LATENT_DIM = posterior.MAX_LATENT_DIM
# Points per axis of the grid that is returned, for J = 1 and 2; the grid that is
# integrated on has a multiple of these steps.
N_GRID = {1: 513, 2: 129}

_MAX_STEPS = 200
_N_CHAINS, _N_DRAWS, _N_WARMUP, _N_LEAPFROGS = 16, 200, 100, 3
_MAX_QUADRATURE = {1: 65_537, 2: 1025**2}

_MAX_SLICE_ROWS = 16
_SLICE_VALUES = 1 << 26


def evidence(
    vae: VAE, x: Tensor, effort: Effort, *, seed: int, first: int = 0
) -> Evidence:
    """
    Bound log p(x) from below; see `log_evidence`.

    With K given the draws are of the encoder's q(z|x), as those of Burda et al. (2016);
    with a target, of the defensive mixture around it.
    """
    lower = _log_evidence(vae, x, encoded(vae, x), effort, seed=seed, first=first)
    return Evidence(*_lower(lower))


def bracketed(
    vae: VAE, x: Tensor, effort: Effort, *, seed: int, first: int = 0
) -> Bracketed:
    """Bound log p(x) from below and above with a refined q(z|x); see `bracket`."""
    q_z = refinement.refine(vae, x, seed=seed, first=first).q_z
    lower = _log_evidence(vae, x, q_z, effort, seed=seed, first=first)
    upper = upper_bound(
        vae,
        x,
        q_z=q_z,
        seed=seed,
        n_chains=_N_CHAINS,
        n_samples=_N_DRAWS,
        n_warmup=_N_WARMUP,
        first=first,
    )
    above = (upper.bound.value, upper.bound.standard_error)
    return Bracketed(*_lower(lower), *_columns(*above, upper.r_hat, upper.acceptance))


def refined(vae: VAE, x: Tensor, *, seed: int, first: int = 0) -> Refined:
    """Optimise mu and log sigma^2 of q(z|x) for each example; see `refine`."""
    found = refinement.refine(vae, x, seed=seed, max_steps=_MAX_STEPS, first=first)
    return Refined(
        *_columns(
            found.q_z.mu,
            found.q_z.log_var,
            *found.before[:2],
            *found.after[:2],
            *found.improvement[:2],
            found.n_steps,
            found.converged,
        )
    )


def gaps(
    vae: VAE, x: Tensor, *, target: float, budget: int, seed: int, first: int = 0
) -> Gaps:
    """Split log p(x) - ELBO into the approximation and the amortisation gap."""
    found = gap.gap(vae, x, target=target, budget=budget, seed=seed, first=first)
    return Gaps(
        *_columns(
            *found.log_p_x.bound[:2],
            *found.refinement.before[:2],
            *found.refinement.after[:2],
            *found.approximation[:2],
            *found.amortization[:2],
            *found.total[:2],
            found.log_p_x.n_samples,
            found.log_p_x.pareto_k,
            found.log_p_x.is_reliable,
            found.refinement.converged,
        )
    )


def posteriors(vae: VAE, x: Tensor) -> Posteriors:
    """
    Integrate p(x, z) over z for each example; see `posterior` and `kl_to_posterior`.

    Each is computed alone, so that its bits depend on no other.

    Raises:
        ValueError: The model has more than two latent dimensions.
    """
    return joined([_posterior_of_one(vae, example) for example in torch.split(x, 1)])


@torch.no_grad()
def _posterior_of_one(vae: VAE, x: Tensor) -> Posteriors:
    """Integrate over z for one example, (1, D)."""
    q_z = encoded(vae, x)
    exact = posterior.posterior(vae, x, start=q_z)
    divergence = posterior.kl_to_posterior(vae, x, q_z, exact)
    grids = zip(
        *(_gridded(found, q_z, i) for i, found in enumerate(exact)), strict=True
    )
    mean, covariance, axes, log_posterior, log_q = _columns(*map(torch.stack, grids))
    kl, kl_error = _columns(*divergence)
    return Posteriors(
        log_p_x=np.array([found.log_p_x for found in exact]),
        log_p_x_error=np.array([found.error for found in exact]),
        kl=kl,
        kl_error=kl_error,
        converged=np.array([found.converged for found in exact]),
        mean=mean,
        covariance=covariance,
        axes=axes,
        log_posterior=log_posterior,
        log_q=log_q,
    )


@torch.no_grad()
def anomalies(
    vae: VAE, x: Tensor, calibration: Scores, *, seed: int, first: int = 0
) -> Anomalies:
    """
    Score each example by -ELBO with the calibration's K, and rank it; see `p_values`.

    Raises:
        ValueError: The calibration scores are of no K draws, so no negative ELBO.
    """
    n_samples = calibration.settings.n_samples
    if n_samples is None:
        raise ValueError("expected calibration scores of K draws of z, got none")
    rows = torch.arange(len(x), device=x.device)
    noise = RowNoise.at(rows + first, seed=seed, stream=Stream.LATENT)
    eps = noise.normal(n_samples, vae.config.latent_dim).transpose(0, 1)
    surprise = anomaly.surprise_per_dim(vae, x, eps=eps.to(x.dtype))
    q_z = encoded(vae, x)
    kl = vae.p_z.kl(q_z, q_z.reparameterize(eps))
    score = (surprise.sum(dim=1, dtype=torch.float64) + kl).cpu().numpy()
    found = anomaly.p_values(score, calibration.values)
    return Anomalies(score, *found, *_columns(surprise))


def imputed(
    vae: VAE,
    x: Tensor,
    observed: Tensor,
    *,
    n_draws: int,
    n_samples: int,
    seed: int,
    first: int = 0,
) -> Imputed:
    """Fill in what is missing given what was observed; see `impute`."""
    given = imputation.latents(
        vae, x, observed, n_draws=n_draws, seed=seed, first=first
    )
    found = imputation.impute(
        vae, x, observed, given, n_samples=n_samples, seed=seed, first=first
    )
    return Imputed(
        *_columns(
            found.mean,
            found.variance,
            found.x.transpose(0, 1),
            given.effective_sample_size,
            given.log_p_observed,
        )
    )


def draws_imputing(config: Config, *, n_draws: int, n_samples: int) -> int:
    """Return about how many draws imputing one example decodes at most."""
    return default_points(config.latent_dim) * _MAX_STEPS + 2 * n_draws + n_samples


def draws_refining(config: Config) -> int:
    """Return about how many draws of z refining one example decodes at most."""
    measured = 2 * refinement.N_FRAMES * (2 * config.latent_dim + 1)
    return default_points(config.latent_dim) * _MAX_STEPS + measured


def draws_above(config: Config) -> int:
    """Return about how many draws bounding one example from above decodes."""
    chains = _N_CHAINS * (_N_DRAWS + _N_WARMUP) * _N_LEAPFROGS
    return draws_refining(config) + chains


def draws_integrating(config: Config) -> int:
    """Return about how many z quadrature decodes at most for one example."""
    return 2 * _MAX_QUADRATURE[config.latent_dim]


def values_decoded(config: Config, draws: int) -> int:
    """Return how many values so many draws of one example take."""
    return draws * config.values_per_draw


def slices(n_rows: int, *, values_per_row: int) -> Iterator[slice]:
    """
    Cut rows into slices that are computed whole, each of bounded work.

    Their size is a power of two, at most 16: data cut at multiples of 16 rows are
    computed in the slices of the whole, to the same bits.
    """
    most = min(_MAX_SLICE_ROWS, max(1, _SLICE_VALUES // values_per_row))
    size = 1 << (most.bit_length() - 1)
    return (slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size))


def _log_evidence(
    vae: VAE,
    x: Tensor,
    q_z: DiagonalGaussian,
    effort: Effort,
    *,
    seed: int,
    first: int,
) -> ImportanceWeighted:
    return bounds.log_evidence(
        vae,
        x,
        target=effort.target,
        budget=effort.budget,
        seed=seed,
        n_samples=effort.n_samples,
        proposal=effort.proposal(vae, q_z),
        first=first,
    )


def _lower(found: ImportanceWeighted) -> list[Column]:
    return _columns(*found.bound[:2], *found[1:])


def _columns(*tensors: Tensor) -> list[Column]:
    return [np.ascontiguousarray(tensor.cpu().numpy()) for tensor in tensors]


def _gridded(
    found: Posterior, q_z: DiagonalGaussian, i: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return mean, covariance, axes and both log densities of example i."""
    n_axes = len(found.axes)
    thinned = slice(None, None, (len(found.axes[0]) - 1) // (N_GRID[n_axes] - 1))
    axes = torch.stack([axis[thinned] for axis in found.axes])  # (J, G)
    z = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)  # (G, J) or (G, G, J)
    log_q = q_z.rows(torch.tensor([i], device=z.device)).log_prob(z)
    log_posterior = found.log_density[(thinned,) * n_axes]
    return found.mean, found.covariance, axes, log_posterior, log_q
