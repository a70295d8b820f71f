"""
Likelihood of the observed part x_o of x, and q(z|x_o) fitted to that part.

Given z, the likelihood factorizes over dimensions, so the log-likelihood of a part of x
is a sum over its dimensions.
"""

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian, Likelihood
from model.inference.proposals import rows_at_once
from model.inference.variational import LogJoint, balanced_noise, fit
from model.vae import VAE


def known_values(vae: VAE, x: Tensor, observed: Tensor) -> Tensor:
    """
    Return x with unobserved values set to 0, which lies in every support.

    Args:
        x: (N, D).
        observed: True where x is known, bool, (N, D).

    Raises:
        ValueError: The mask does not fit x, or an observed value is outside the
            support.
    """
    if observed.dtype != torch.bool or observed.shape != x.shape:
        raise ValueError(
            f"expected a mask of booleans {list(x.shape)}, "
            f"got {observed.dtype} {list(observed.shape)}"
        )
    known = torch.where(observed, x, 0.0)
    inside = vae.likelihood.in_support(known)
    if not inside.all():
        n, d = (~inside).nonzero()[0].tolist()
        raise ValueError(
            f"x[{n}, {d}] is {known[n, d].item():g}; "
            f"expected a value in {vae.likelihood.support}"
        )
    return known


def masked_log_prob(p_x: Likelihood, x: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of log p(x_d|z) where the mask is True, in float64, (...)."""
    per_dim = p_x.log_prob_per_dim(x)
    return torch.where(mask, per_dim, 0.0).sum(dim=-1, dtype=torch.float64)


def log_joint(vae: VAE, known: Tensor, observed: Tensor) -> LogJoint:
    """Return the function log p(x_o|z) + log p(z) of row indices and z, (K, R, J)."""

    def log_prob(rows: Tensor, z: Tensor) -> Tensor:
        p_x = vae.decode(z.to(known.dtype))
        log_likelihood = masked_log_prob(p_x, known[rows], observed[rows])
        return log_likelihood + vae.p_z.log_prob(z)

    return log_prob


def fitted(
    vae: VAE,
    known: Tensor,
    observed: Tensor,
    *,
    seed: int,
    tolerance: float,
    max_steps: int,
) -> DiagonalGaussian:
    """Fit q(z|x_o) to the observed values of each row, a few rows at once."""
    noise = balanced_noise(vae.config.latent_dim, seed=seed).to(known.device)
    size = rows_at_once(vae, len(noise))
    parts = [
        fit(
            log_joint(vae, x, mask),
            _start(vae, x, mask, noise),
            eps=noise,
            tolerance=tolerance,
            max_steps=max_steps,
        )
        for x, mask in zip(
            torch.split(known, size), torch.split(observed, size), strict=True
        )
    ]
    return DiagonalGaussian(
        torch.cat([q_z.mu for q_z in parts]), torch.cat([q_z.log_var for q_z in parts])
    )


@torch.no_grad()
def _start(vae: VAE, known: Tensor, observed: Tensor, eps: Tensor) -> DiagonalGaussian:
    """
    Return for each row the prior's moments or the encoder's q, by the higher ELBO.

    Unobserved values are replaced by E[x|z] at the prior's mean for the encoder.
    """
    log_prob = log_joint(vae, known, observed)
    moments = vae.p_z.moments(known.device)
    prior = DiagonalGaussian(
        moments.mu.expand(len(known), -1), moments.log_var.expand(len(known), -1)
    )
    filling = vae.decode(prior.mu.to(known.dtype)).mean
    encoded = vae.encode(torch.where(observed, known, filling))
    q_z = DiagonalGaussian(encoded.mu.double(), encoded.log_var.double())
    # Both ELBOs leave out the same constant of the entropy.
    rows = torch.arange(len(known), device=known.device)
    of_prior = log_prob(rows, prior.reparameterize(eps)).mean(dim=0)
    of_q = log_prob(rows, q_z.reparameterize(eps)).mean(dim=0)
    of_prior = of_prior + 0.5 * prior.log_var.sum(dim=-1)
    better = (of_q + 0.5 * q_z.log_var.sum(dim=-1) > of_prior)[:, None]
    return DiagonalGaussian(
        torch.where(better, q_z.mu, prior.mu),
        torch.where(better, q_z.log_var, prior.log_var),
    )
