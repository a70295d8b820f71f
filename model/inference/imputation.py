"""
Impute missing values of x from the observed ones: draws, mean, variance, density.

With x_o the observed and x_m the missing values, p(x_m | x_o) is the integral of
p(x_m|z) p(z|x_o) over z, because given z the likelihood factorizes over dimensions. The
posterior p(z|x_o) is approximated by a diagonal Gaussian, fitted to x_o, and then by
draws from it with importance weights (Mattei & Frellsen 2018, Sec. 3.3).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.observed import fitted, known_values, log_joint, masked_log_prob
from model.inference.proposals import pairs_at_once
from model.noise import Stream, standard_normal, uniform
from model.prior import Prior
from model.vae import VAE

_TOLERANCE = 1e-4  # nats of the ELBO left to gain
_MAX_STEPS = 200
_PRIOR_EVERY = 10  # one draw in ten is from the prior

_LATENT, _COMPONENT, _CHOICE, _DATA = range(4)  # parts of a row's stream


class Latents(NamedTuple):
    """
    Weighted draws of z that represent p(z|x_o), in float64.

    Attributes:
        z: (K, N, J).
        log_weights: Logarithms of the weights, which sum to 1 over the draws, (K, N).
        log_p_observed: Estimate of log p(x_o) in nats, the log of an unbiased estimate
            of p(x_o), so in expectation a lower bound (Burda et al. 2016), (N,).
        q_z: The diagonal Gaussian of nine in ten draws. The others, the first K // 10,
            are from the prior, to cover what q misses.
    """

    z: Tensor
    log_weights: Tensor
    log_p_observed: Tensor
    q_z: DiagonalGaussian

    @property
    def effective_sample_size(self) -> Tensor:
        """1 / sum_k w_k^2 (Kong 1992), between 1 and K, (N,)."""
        return torch.exp(-torch.logsumexp(2 * self.log_weights, dim=0))


class Imputation(NamedTuple):
    """
    Moments of and draws from p(x_m | x_o); observed values are returned unchanged.

    Attributes:
        mean: E[x_d | x_o], (N, D).
        variance: E[Var[x_d|z]] + Var[E[x_d|z]] given x_o, 0 where observed, (N, D).
        x: Draws of the complete x, (S, N, D).
        z: The latents of these draws, (S, N, J).
    """

    mean: Tensor
    variance: Tensor
    x: Tensor
    z: Tensor


def latents(
    vae: VAE,
    x: Tensor,
    observed: Tensor,
    *,
    n_draws: int,
    seed: int,
    first: int = 0,
    tolerance: float = _TOLERANCE,
    max_steps: int = _MAX_STEPS,
) -> Latents:
    """
    Draw from p(z|x_o) by self-normalized importance sampling.

    q is initialized with the prior's moments or with the encoder's q(z|x), whichever is
    better, where missing values of x are E[x|z] at the prior's mean. It is then fitted
    to the observed values of each row.

    Args:
        x: Data, (N, D); unobserved values are not read and may be NaN.
        observed: True where x is known, bool, (N, D).
        n_draws: K.
        first: Position of the first row; a row's noise depends on seed and position.
        tolerance: The fit of a row stops at a smaller predicted gain in ELBO, in nats.

    Raises:
        ValueError: The mask does not fit x, or an observed value is outside the
            support.
    """
    known = known_values(vae, x, observed)
    q_z = fitted(
        vae, known, observed, seed=seed, tolerance=tolerance, max_steps=max_steps
    )
    log_prob = log_joint(vae, known, observed)
    shape, positions = (n_draws, vae.config.latent_dim), range(first, first + len(x))
    eps = _by_row(standard_normal, shape, seed, _LATENT, positions)
    u = _by_row(uniform, shape[:1], seed, _COMPONENT, positions)
    with torch.no_grad():
        noise = (eps.to(x.device).double(), u.to(x.device))
        z, log_proposal = _proposed(vae.p_z, q_z, *noise)
        rows = torch.arange(len(x), device=x.device)
        log_p = torch.cat([log_prob(rows, part) for part in _parts(vae, z)])
        log_w = log_p - log_proposal  # (K, N)
    total = torch.logsumexp(log_w, dim=0)
    return Latents(z, log_w - total, total - math.log(n_draws), q_z)


@torch.no_grad()
def impute(
    vae: VAE,
    x: Tensor,
    observed: Tensor,
    given: Latents,
    *,
    n_samples: int,
    seed: int,
    first: int = 0,
) -> Imputation:
    """
    Return mean, variance and S = `n_samples` draws of x given the observed values.

    A draw takes a z with probability equal to its weight, then x ~ p(x|z).

    Args:
        given: The result of `latents` for the same x and mask.
        seed: For the choice among the latents, and for the data noise.
        first: Position of the first row, as for `latents`.
    """
    known = known_values(vae, x, observed)
    total = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    squares, within = torch.zeros_like(total), torch.zeros_like(total)
    weights = given.log_weights.exp()[..., None]  # (K, N, 1)
    for z, w in zip(_parts(vae, given.z), _parts(vae, weights), strict=True):
        p_x = vae.decode(z.to(x.dtype))
        mean = p_x.mean.double()
        total += (w * mean).sum(dim=0)
        squares += (w * mean.square()).sum(dim=0)
        within += (w * p_x.variance.double()).sum(dim=0)
    between = torch.clamp(squares - total.square(), min=0)  # rounding can make it < 0
    positions = range(first, first + len(x))
    z = _resampled(given, n_samples, seed=seed, positions=positions)
    shape = (n_samples, x.shape[1])
    draw = uniform if vae.likelihood.noise == "uniform" else standard_normal
    noise = _by_row(draw, shape, seed, _DATA, positions)
    drawn = vae.decode(z.to(x.dtype)).sample(noise.to(x))
    return Imputation(
        mean=torch.where(observed, known, total.to(x.dtype)),
        variance=torch.where(observed, 0.0, (within + between).to(x.dtype)),
        x=torch.where(observed, known, drawn),
        z=z,
    )


@torch.no_grad()
def log_prob_missing(
    vae: VAE, truth: Tensor, observed: Tensor, given: Latents
) -> Tensor:
    """
    Estimate log p(x_m | x_o) at the true x_m, log sum_k w_k p(x_m|z_k), (N,), in nats.

    It is 0 if nothing is missing. The estimate is consistent in K. If the truth is
    improbable given x_o, few draws contribute, and the estimate is probably too low.

    Args:
        truth: Complete data, (N, D); its missing part must lie in the support.
        given: The result of `latents` for the observed part of the same rows.

    Raises:
        ValueError: A value is outside the support of the likelihood.
    """
    missing = ~observed
    known = known_values(vae, truth, missing)
    log_p = torch.cat(
        [
            masked_log_prob(vae.decode(z.to(truth.dtype)), known, missing)
            for z in _parts(vae, given.z)
        ]
    )
    return torch.logsumexp(given.log_weights + log_p, dim=0)


def _proposed(
    p_z: Prior, q_z: DiagonalGaussian, eps: Tensor, u: Tensor
) -> tuple[Tensor, Tensor]:
    """
    Draw K / 10 times from the prior, else from q; return z and its log density.

    This is a defensive mixture (Hesterberg 1995): with a share a from the prior, no
    weight is above p(x_o|z) / a, even where q misses part of the posterior.
    """
    n_prior = len(eps) // _PRIOR_EVERY
    of_prior = p_z.sample(eps[:n_prior], u[:n_prior])
    z = torch.cat([of_prior, q_z.reparameterize(eps[n_prior:])])
    log_q = q_z.log_prob(z)
    if n_prior == 0:
        return z, log_q
    share = n_prior / len(eps)
    log_p = p_z.log_prob(z)
    return z, torch.logaddexp(log_p + math.log(share), log_q + math.log1p(-share))


def _resampled(
    given: Latents, n_samples: int, *, seed: int, positions: range
) -> Tensor:
    """Resample S of each row's K latents by their weights, (S, N, J)."""
    u = _by_row(uniform, (n_samples,), seed, _CHOICE, positions)
    share = given.log_weights.exp().T.cumsum(dim=1).contiguous()  # (N, K)
    # Scaled by the last cumulative weight, which rounding may move away from 1.
    aim = u.T.to(share).contiguous() * share[:, -1:]
    index = torch.searchsorted(share, aim, right=True)
    index = index.clamp(max=share.shape[1] - 1).T[..., None]  # (S, N, 1)
    return given.z.gather(0, index.expand(-1, -1, given.z.shape[2]))


def _by_row(
    draw: Callable[..., NDArray[np.float32]],
    shape: tuple[int, ...],
    seed: int,
    part: int,
    positions: range,
) -> Tensor:
    """Stack the noise of the rows at these positions, (..., N, ...)."""
    rows = [
        draw(shape, seed=seed, stream=Stream.IMPUTATION, index=(i, part))
        for i in positions
    ]
    return torch.from_numpy(np.stack(rows, axis=1))


def _parts(vae: VAE, draws: Tensor) -> tuple[Tensor, ...]:
    """Split draws, (K, N, ...), so that each decoded part fits into memory."""
    return torch.split(draws, max(1, pairs_at_once(vae) // max(1, draws.shape[1])))
