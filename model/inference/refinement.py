"""
Local variational parameters: mu and log sigma^2 of q(z|x) optimised for each x.

This is variational inference without amortisation. What the encoder's own q(z|x) falls
short of it by, in nats, is the amortisation gap (Cremer et al. 2018).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.cubature import default_points, frames, moment_matched
from model.inference.estimate import Estimate
from model.inference.lbfgs import Optimum, maximize
from model.inference.proposals import (
    Proposal,
    encoded,
    log_weight,
    pairs_at_once,
)
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

N_FRAMES = 16

# An example whose model promises no more than this, in nats, has arrived.
_ARRIVED = 1e-4
# Less is lost in the rounding of a decoder in float32, and costs most of the steps.
_TOLERANCE = 1e-6
_CLOSE = 0.02  # nats, of the first steps


class Refinement(NamedTuple):
    """
    q(z|x) after local optimisation, and what that gained.

    Attributes:
        q_z: The refined q, mu and log_var (N, J), float64.
        before: ELBO of the q that it started from.
        after: ELBO of the refined q.
        improvement: `after` - `before` from the same noise, so it is surer than either.
        n_steps: Steps that each example took, (N,).
        converged: Whether it then had less than 1e-4 nats to gain, (N,).
    """

    q_z: DiagonalGaussian
    before: Estimate
    after: Estimate
    improvement: Estimate
    n_steps: Tensor
    converged: Tensor


def refine(
    vae: VAE,
    x: Tensor,
    *,
    seed: int,
    start: DiagonalGaussian | None = None,
    n_samples: int | None = None,
    n_frames: int = N_FRAMES,
    max_steps: int = 200,
    tolerance: float = _TOLERANCE,
    first: int = 0,
) -> Refinement:
    """
    Maximize the ELBO of each example over its own mu and log sigma^2.

    Every example is computed alone, so that its bits depend on no other.

    The objective has fixed noise of mean 0 and covariance I (`moment_matched`), under
    which a linear-Gaussian model's ELBO is exact, and the KL divergence of `Prior.kl`,
    in closed form where there is one. The ELBOs reported are measured with other noise:
    a maximum is above what it is of.

    Args:
        x: Data in the likelihood's support, (N, D).
        start: The encoder's q(z|x) unless given; float64.
        n_samples: Points of noise, even and at least 2 J; max(64, 4 J) unless given.
        n_frames: How many replicates measure the ELBO, of 2 J decoded points each.
        max_steps: The most steps of L-BFGS.
        tolerance: In nats, of the objective.
        first: Position of the first row in its data; the noise of row i is a function
            of (seed, first + i) alone.

    Raises:
        ValueError: The points of noise are odd in number, or fewer than 2 J.
    """
    before = _encoded_alone(vae, x) if start is None else start
    best = _optimized(
        vae,
        x,
        before,
        seed=seed,
        first=first,
        n_samples=_n_points(vae.config.latent_dim, n_samples),
        tolerance=tolerance,
        max_steps=max_steps,
    )
    q_z = _moved(before, best.point)
    values = [
        elbo_replicates(vae, x, q, seed=seed, n_frames=n_frames, first=first)
        for q in (before, q_z)
    ]
    return Refinement(
        q_z=q_z,
        before=Estimate.mean(values[0]),
        after=Estimate.mean(values[1]),
        improvement=Estimate.mean(values[1] - values[0]),
        n_steps=best.n_steps,
        converged=best.gain < _ARRIVED,
    )


@torch.no_grad()
def elbo_replicates(
    vae: VAE,
    x: Tensor,
    q_z: Proposal,
    *,
    seed: int,
    n_frames: int = N_FRAMES,
    first: int = 0,
) -> Tensor:
    """
    Return independent unbiased estimates of E_q[log p(x, z) - log q(z|x)], (N, F).

    In nats, for any Gaussian q. Each is free of error where log p(x|z) is quadratic in
    z, and differences between two q have the same noise in every estimate.

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
        noise = RowNoise.at(index + first, seed=seed, stream=Stream.EVALUATION)
        rule = frames(
            noise.normal(n_frames, latent_dim, latent_dim),
            noise.normal(n_frames, latent_dim + 2),
        )
        eps = rule.points.transpose(0, 1)  # (1 + 2 F J, R, J)
        portions = torch.split(eps, pairs_at_once(vae))
        values = torch.cat(
            [log_weight(vae, x[index], q_z.rows(index), part) for part in portions]
        )
        replicates.append(rule.expectations(values.T))
    return torch.cat(replicates)


def _encoded_alone(vae: VAE, x: Tensor) -> DiagonalGaussian:
    """Return the encoder's q(z|x), every example encoded alone for its bits' sake."""
    parts = [encoded(vae, one) for one in torch.split(x, 1)]
    return DiagonalGaussian(
        torch.cat([q_z.mu for q_z in parts]), torch.cat([q_z.log_var for q_z in parts])
    )


def _n_points(latent_dim: int, wanted: int | None) -> int:
    """Return how many points of matched noise to use, having checked the number."""
    n = default_points(latent_dim) if wanted is None else wanted
    if n % 2 or n < 2 * latent_dim:
        raise ValueError(
            f"expected an even n_samples of at least 2 J = {2 * latent_dim}, got {n}"
        )
    return n


def _optimized(
    vae: VAE,
    x: Tensor,
    q_z: DiagonalGaussian,
    *,
    seed: int,
    first: int,
    n_samples: int,
    tolerance: float,
    max_steps: int,
) -> Optimum:
    """
    Optimize every example alone, in the coordinates of `_moved`.

    The first steps, which lead to about the right place, have half the points.
    """
    optima = []
    n_few = n_samples // 4
    positions = torch.arange(len(x), device=x.device)
    for index in torch.split(positions, 1):
        noise = RowNoise.at(index + first, seed=seed, stream=Stream.REFINEMENT)
        half = noise.normal(n_samples // 2, vae.config.latent_dim)
        rows = (vae, x[index], q_z.rows(index))
        part = _Rows(*rows, moment_matched(half))
        start, n_begun = part.start, 0
        if n_few >= vae.config.latent_dim:
            few = _Rows(*rows, moment_matched(half[:, :n_few]))
            begun = maximize(few.elbo, start, tolerance=_CLOSE, max_steps=max_steps)
            start, n_begun = begun.point, int(begun.n_steps)
        found = maximize(
            part.elbo, start, tolerance=tolerance, max_steps=max_steps - n_begun
        )
        optima.append(found._replace(n_steps=found.n_steps + n_begun))
    return Optimum(*(torch.cat(field) for field in zip(*optima, strict=True)))


class _Rows(NamedTuple):
    """Examples with the q that they start from and their fixed noise, (R, K, J)."""

    vae: VAE
    x: Tensor
    q_z: DiagonalGaussian
    eps: Tensor

    @property
    def start(self) -> Tensor:
        """The coordinates of `_moved` where nothing is moved, (R, 2 J)."""
        return torch.zeros_like(self.q_z.mu).repeat(1, 2)

    def elbo(self, index: Tensor, point: Tensor) -> Tensor:
        """Return the ELBO of some examples with their fixed noise, (R',)."""
        q_z = _moved(self.q_z.rows(index), point)
        z = q_z.reparameterize(self.eps[index].transpose(0, 1))  # (K, R', J)
        x = self.x[index]
        log_p_x = self.vae.decode(z.to(x.dtype)).log_prob_per_dim(x)
        log_likelihood = log_p_x.sum(dim=-1, dtype=torch.float64).mean(dim=0)
        return log_likelihood - self.vae.p_z.kl(q_z, z)


def _moved(q_z: DiagonalGaussian, point: Tensor) -> DiagonalGaussian:
    """
    Move mu by so many standard deviations, and log_var by so much, (R, 2 J).

    In these coordinates the ELBO's curvature is about 1 and 1/2 near the optimum.
    """
    by_mu, by_log_var = point.chunk(2, dim=1)
    return DiagonalGaussian(q_z.mu + q_z.sigma * by_mu, q_z.log_var + by_log_var)
