"""
The likelihood of the observed part x_o of x, and what the encoder says of that part.

Given z, the likelihood factorizes over dimensions, so the log-likelihood of a part of x
is a sum over its dimensions.
"""

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian, Likelihood
from model.inference.proposals import encode_wide
from model.vae import VAE


def known_values(vae: VAE, x: Tensor, observed: Tensor) -> Tensor:
    """
    Return x with unobserved values set to 0, which lies in every support.

    Args:
        x: (N, D) in the model's units.
        observed: True where x is known, bool, (N, D), for a table one a column.

    Raises:
        ValueError: The mask does not fit x, or an observed value is outside the
            support.
    """
    shape = (len(x), vae.config.data_dim)
    if observed.dtype != torch.bool or observed.shape != shape:
        raise ValueError(
            f"expected a mask of booleans {list(shape)}, "
            f"got {observed.dtype} {list(observed.shape)}"
        )
    known = vae.observed_part(x, observed)
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


@torch.no_grad()
def encode_part(vae: VAE, known: Tensor, observed: Tensor) -> DiagonalGaussian:
    """
    Return the encoder's q(z|x) with the other values of x filled in, float64, (N, J).

    They are E[x|z] at the prior's mean, but the encoder of a table knows missing cells.
    Rows whose q is not finite have the prior's moments.
    """
    moments = vae.p_z.moments(known.device)
    if vae.marginals is None:
        filling = vae.decode(moments.mu.to(known.dtype)).mean
        known = torch.where(observed, known, filling)
    q_z = encode_wide(vae, known)
    is_finite = (q_z.mu.isfinite() & q_z.sigma.isfinite()).all(dim=1, keepdim=True)
    return DiagonalGaussian(
        torch.where(is_finite, q_z.mu, moments.mu),
        torch.where(is_finite, q_z.log_var, moments.log_var),
    )
