"""
Draw from the posterior p(z|x) by Hamiltonian Monte Carlo, many chains at once.

It needs gradients, so callers must not run under `torch.inference_mode`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.inference.likelihood import log_joint
from model.inference.proposals import Gaussian, rows_at_once
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

# The optimum in high dimensions is 0.65 (Beskos et al. 2013). It is larger here, as in
# Stan: a step that is too small costs little, one that is too large can stop a chain.
_ACCEPTANCE = 0.8
N_LEAPFROGS = 2
_FIRST_STEP = 0.75
# In units of q, two steps of this length are at most 1.4 quarters of an orbit, if q is
# close to p(z|x). Nearly half an orbit would change the sign of z and keep log p(x, z).
_LONGEST_STEP = 1.1

_WARMUP, _SAMPLING, RESAMPLING = 0, 1, 2  # parts of a row's stream


class Chains(NamedTuple):
    """
    Draws of C chains for each example.

    Attributes:
        z: Float64, (S, C, N, J).
        log_joint: Log p(x, z) of each, in nats, (S, C, N).
        acceptance: Mean probability of acceptance, (N,).
        r_hat: Split R-hat of log p(x, z) over the chains (Gelman et al. 2013, Sec.
            11.4), (N,): near 1 if the chains agree; NaN if no chain moved.
    """

    z: Tensor
    log_joint: Tensor
    acceptance: Tensor
    r_hat: Tensor


def sample_posterior(
    vae: VAE,
    x: Tensor,
    *,
    q_z: Gaussian,
    n_chains: int,
    n_samples: int,
    n_warmup: int,
    seed: int,
    near: Tensor | None = None,
    first: int = 0,
) -> Chains:
    """
    Run chains that leave p(z|x) invariant (Neal 2011), in units of q.

    The step size of each example is tuned on warm-up chains that start from q or
    `near`, then fixed. Sampling continues from their ends, which are only approximate
    draws from p(z|x).

    Args:
        x: Data in the likelihood's support, (N, D).
        q_z: In float64; the closer to p(z|x), the faster the chains move.
        n_samples: S, at least 4.
        n_warmup: Transitions for tuning.
        near: Approximate draws from p(z|x), one for each chain, (C, N, J).
        first: Position of the first row in its data; the noise of row i is a function
            of (seed, first + i) alone.
    """
    positions = torch.arange(len(x), device=x.device)
    parts = []
    for index in torch.split(positions, rows_at_once(vae, n_chains)):
        target = _Target(vae, x[index], q_z.rows(index))
        noises = [
            RowNoise.at(index + first, seed=seed, stream=Stream.MARKOV_CHAIN, part=part)
            for part in (_WARMUP, _SAMPLING)
        ]
        u = noises[0].normal(n_chains, vae.config.latent_dim).transpose(0, 1)
        if near is not None:
            u = target.q_z.standardize(near[:, index])
        u, step = _tune(target, noises[0], u, n_warmup=n_warmup)
        parts.append(_run(target, noises[1], u, step, n_samples=n_samples))
    return Chains(
        z=torch.cat([part.z for part in parts], dim=2),
        log_joint=torch.cat([part.log_joint for part in parts], dim=2),
        acceptance=torch.cat([part.acceptance for part in parts]),
        r_hat=torch.cat([part.r_hat for part in parts]),
    )


class _Target(NamedTuple):
    """log p(x, z) in the coordinates u of q, where q is N(0, I)."""

    vae: VAE
    x: Tensor
    q_z: Gaussian

    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log density, (C, R), and its gradient, (C, R, J)."""
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            value = log_joint(self.vae, self.x, self.q_z.reparameterize(leaf))
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), gradient


class _Point(NamedTuple):
    """The state of the chains: u, (C, R, J), log density, (C, R), and its gradient."""

    u: Tensor
    value: Tensor
    gradient: Tensor


def _transition(
    target: _Target, at: _Point, step: Tensor, noise: RowNoise
) -> tuple[_Point, Tensor]:
    """Make one transition; return the new point and the acceptance, (C, R)."""
    n_chains, _, latent_dim = at.u.shape
    momentum = noise.normal(n_chains, latent_dim).transpose(0, 1)
    jitter, uniform = noise.uniform(2, n_chains).permute(1, 2, 0)  # each (C, R)
    # A random step size avoids resonance with the period of an orbit (Neal 2011).
    h = (step * (0.5 + 0.5 * jitter))[..., None]
    p, new = momentum, at
    for _ in range(N_LEAPFROGS):
        p = p + 0.5 * h * new.gradient
        u = new.u + h * p
        new = _Point(u, *target(u))
        p = p + 0.5 * h * new.gradient
    energy = (momentum.square() - p.square()).sum(dim=-1) / 2
    log_ratio = (new.value - at.value + energy).nan_to_num(-math.inf)
    acceptance = log_ratio.clamp(max=0).exp()
    accepted = uniform < acceptance
    moved = _Point(
        torch.where(accepted[..., None], new.u, at.u),
        torch.where(accepted, new.value, at.value),
        torch.where(accepted[..., None], new.gradient, at.gradient),
    )
    return moved, acceptance


def _tune(
    target: _Target, noise: RowNoise, u: Tensor, *, n_warmup: int
) -> tuple[Tensor, Tensor]:
    """Run warm-up chains from u; return their last u and the step sizes, (R,)."""
    at = _Point(u, *target(u))
    log_step = torch.full_like(u[0, :, 0], math.log(_FIRST_STEP))
    total = torch.zeros_like(log_step)
    for t in range(1, n_warmup + 1):
        at, acceptance = _transition(target, at, log_step.exp(), noise)
        # Robbins & Monro (1951), with the iterates of the second half averaged.
        log_step = log_step + (acceptance.mean(dim=0) - _ACCEPTANCE) / math.sqrt(t)
        log_step = log_step.clamp(max=math.log(_LONGEST_STEP))
        if 2 * t > n_warmup:
            total = total + log_step
    n_averaged = n_warmup - n_warmup // 2
    return at.u, (total / max(n_averaged, 1) if n_warmup else log_step).exp()


def _run(
    target: _Target, noise: RowNoise, u: Tensor, step: Tensor, *, n_samples: int
) -> Chains:
    """Make `n_samples` transitions from u, (C, R, J)."""
    at = _Point(u, *target(u))
    draws, values, total = [], [], torch.zeros_like(step)
    for _ in range(n_samples):
        at, acceptance = _transition(target, at, step, noise)
        draws.append(target.q_z.reparameterize(at.u))
        values.append(at.value)
        total = total + acceptance.mean(dim=0)
    log_joint = torch.stack(values)
    return Chains(
        torch.stack(draws), log_joint, total / n_samples, _split_r_hat(log_joint)
    )


def _split_r_hat(values: Tensor) -> Tensor:
    """Return R-hat, (R,), over the halves of the chains, (S, C, R)."""
    half = len(values) // 2
    halves = torch.cat([values[:half], values[half : 2 * half]], dim=1)  # (S/2, 2C, R)
    within = halves.var(dim=0).mean(dim=0)
    between = halves.mean(dim=0).var(dim=0)
    return ((half - 1) / half + between / within).sqrt()
