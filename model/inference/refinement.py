"""
Local variational parameters: mu and log sigma^2 of q(z|x), optimized for each x.

This is variational inference without amortization. The amortization gap (Cremer et al.
2018) is the difference in ELBO, in nats, to the encoder's q(z|x).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.cubature import default_points, frames, match_moments
from model.inference.estimate import Estimate
from model.inference.example import Example
from model.inference.importance import rounding, wide_decoder
from model.inference.lbfgs import Optimum, maximize
from model.inference.likelihood import log_likelihood_with_gradient
from model.inference.mixture_prior import split_prior
from model.inference.proposals import (
    Gaussian,
    encode_wide,
    log_weight,
    pairs_at_once,
)
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

N_FRAMES = 16  # replicates that measure an ELBO, with 2 J decoded points each
MAX_STEPS = 200  # of L-BFGS

_STREAM, _PRIOR, _ROUNDING = Stream.EVALUATION, 1, 2  # parts of each row's stream
_N_WIDE = 16  # points that are decoded in float64 too

# An example has converged if the quadratic model predicts a smaller gain, in nats.
_CONVERGED = 1e-4
# A smaller tolerance is within the rounding of a float32 decoder, and takes many steps.
_TOLERANCE = 1e-6
_CLOSE = 0.02  # nats; the tolerance of the first steps


class Refinement(NamedTuple):
    """
    q(z|x) after local optimization, and the gain in ELBO.

    The ELBOs are corrected for the rounding of a float32 decoder, and their errors
    include it.

    Attributes:
        q_z: The refined q, mu and log_var (N, J), float64.
        before: ELBO of the initial q.
        after: ELBO of the refined q.
        improvement: `after` - `before` with the same noise, so its error is smaller.
        n_steps: Steps that each example took, (N,).
        converged: Whether the predicted further gain is below 1e-4 nats, (N,).
    """

    q_z: DiagonalGaussian
    before: Estimate
    after: Estimate
    improvement: Estimate
    n_steps: Tensor
    converged: Tensor


def refine(vae: VAE, x: Tensor, *, seed: int, first: int = 0) -> Refinement:
    """
    Maximize the ELBO of each example over its own mu and log sigma^2.

    Examples are computed one at a time, so that the bits of one do not depend on the
    others.

    The objective has fixed noise with mean 0 and covariance I (`match_moments`), for
    which the ELBO of a linear-Gaussian model is exact. Its KL divergence is `Prior.kl`,
    in closed form if there is one. The reported ELBOs are measured with other noise,
    because the maximum of an objective with fixed noise is biased upward.

    Args:
        x: Data in the likelihood's support, (N, D).
        first: Position of the first row in its data; the noise of row i is a function
            of (seed, first + i) alone.
    """
    before = _encode_alone(vae, x)
    best = _optimize(vae, x, before, seed=seed, first=first)
    q_z = _move(before, best.point)
    values = [elbo_replicates(vae, x, q, seed=seed, first=first) for q in (before, q_z)]
    rounded = [_rounding(vae, x, q, seed=seed, first=first) for q in (before, q_z)]
    improvement = Estimate.mean(values[1] - values[0])
    return Refinement(
        q_z=q_z,
        before=Estimate.mean(values[0]).plus(rounded[0]),
        after=Estimate.mean(values[1]).plus(rounded[1]),
        improvement=improvement.plus(rounded[1]).minus(rounded[0]),
        n_steps=best.n_steps,
        converged=best.gain < _CONVERGED,
    )


@torch.no_grad()
def elbo_replicates(
    vae: VAE,
    x: Tensor,
    q_z: Gaussian,
    *,
    seed: int,
    n_frames: int = N_FRAMES,
    first: int = 0,
) -> Tensor:
    """
    Return independent unbiased estimates of E_q[log p(x, z) - log q(z|x)], (N, F).

    In nats, for any Gaussian q. Each is exact if log p(x|z) is quadratic in z and the
    prior is a standard normal; see `mixture_prior` for others. Two q get the same
    noise, so that the noise in their difference is small.

    Args:
        x: Data in the likelihood's support, (N, D).
        q_z: In float64.
        n_frames: F, at least 2 for a standard error.
        first: Position of the first row in its data, as in `refine`.
    """
    latent_dim = vae.config.latent_dim
    positions = torch.arange(len(x), device=x.device)
    replicates = []
    for index in torch.split(positions, 1):
        noise = RowNoise.at(index + first, seed=seed, stream=_STREAM)
        rule = frames(
            noise.normal(n_frames, latent_dim, latent_dim),
            noise.normal(n_frames, latent_dim + 2),
        )
        noise = RowNoise.at(index + first, seed=seed, stream=_STREAM, part=_PRIOR)
        q = q_z.rows(index)
        log_prior, rest = split_prior(vae.p_z, q, noise, n_replicates=n_frames)
        eps = rule.points.transpose(0, 1)  # (1 + 2 F J, R, J)
        portions = torch.split(eps, pairs_at_once(vae))
        values = torch.cat(
            [log_weight(vae, x[index], q, part, log_prior) for part in portions]
        )
        replicates.append(rule.expectations(values.T) + rest)
    return torch.cat(replicates)


def _rounding(
    vae: VAE, x: Tensor, q_z: DiagonalGaussian, *, seed: int, first: int
) -> Estimate:
    """Return the effect of the decoder's rounding on the ELBO of q, with its error."""
    exact, found = wide_decoder(vae), []
    for i, one in enumerate(torch.split(x, 1)):
        index = torch.tensor([i], device=x.device)
        noise = RowNoise.at(index + first, seed=seed, stream=_STREAM, part=_ROUNDING)
        eps = noise.normal(_N_WIDE, vae.config.latent_dim).transpose(0, 1)
        z = q_z.rows(index).reparameterize(eps)[:, 0]
        found.append(rounding(Example(vae, one), exact, z, torch.zeros_like(z[:, 0])))
    value, error = q_z.mu.new_tensor(found).T
    return Estimate(value, error)


def _encode_alone(vae: VAE, x: Tensor) -> DiagonalGaussian:
    """Return the encoder's q(z|x), computed one example at a time for fixed bits."""
    parts = [encode_wide(vae, one) for one in torch.split(x, 1)]
    return DiagonalGaussian(
        torch.cat([q_z.mu for q_z in parts]), torch.cat([q_z.log_var for q_z in parts])
    )


def _optimize(
    vae: VAE, x: Tensor, q_z: DiagonalGaussian, *, seed: int, first: int
) -> Optimum:
    """
    Optimize examples one at a time, in the coordinates of `_move`.

    The first steps, to the neighborhood of the optimum, use half the points.
    """
    optima = []
    n_samples = default_points(vae.config.latent_dim)
    n_few = n_samples // 4
    positions = torch.arange(len(x), device=x.device)
    for index in torch.split(positions, 1):
        noise = RowNoise.at(index + first, seed=seed, stream=Stream.REFINEMENT)
        half = noise.normal(n_samples // 2, vae.config.latent_dim)
        rows = (vae, x[index], q_z.rows(index))
        part = _Rows(*rows, match_moments(half))
        start, n_begun = part.start, 0
        if n_few >= vae.config.latent_dim:
            few = _Rows(*rows, match_moments(half[:, :n_few]))
            begun = maximize(few.elbo, start, tolerance=_CLOSE, max_steps=MAX_STEPS)
            start, n_begun = begun.point, int(begun.n_steps)
        n_left = MAX_STEPS - n_begun
        found = maximize(part.elbo, start, tolerance=_TOLERANCE, max_steps=n_left)
        optima.append(found._replace(n_steps=found.n_steps + n_begun))
    return Optimum(*(torch.cat(field) for field in zip(*optima, strict=True)))


class _Rows(NamedTuple):
    """Examples, their initial q, and their fixed noise, (R, K, J)."""

    vae: VAE
    x: Tensor
    q_z: DiagonalGaussian
    eps: Tensor

    @property
    def start(self) -> Tensor:
        """The coordinates of the initial q in `_move`, zeros, (R, 2 J)."""
        return torch.zeros_like(self.q_z.mu).repeat(1, 2)

    def elbo(self, index: Tensor, point: Tensor) -> Tensor:
        """Return the ELBO of the examples at `index` with their fixed noise, (R',)."""
        q_z = _move(self.q_z.rows(index), point)
        z = q_z.reparameterize(self.eps[index].transpose(0, 1))  # (K, R', J)
        log_p_x = log_likelihood_with_gradient(self.vae, self.x[index], z)
        return log_p_x.mean(dim=0) - self.vae.p_z.kl(q_z, z)


def _move(q_z: DiagonalGaussian, point: Tensor) -> DiagonalGaussian:
    """
    Move mu, in units of sigma, and log_var by the two halves of `point`, (R, 2 J).

    In these coordinates the curvature of the ELBO is about 1 and 1/2 near the optimum.
    """
    by_mu, by_log_var = point.chunk(2, dim=1)
    return DiagonalGaussian(q_z.mu + q_z.sigma * by_mu, q_z.log_var + by_log_var)
