"""Proposal distributions q(z|x) for importance weights p(x, z) / q(z|x)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, final

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian, standard_normal_log_prob
from model.inference.likelihood import log_likelihood
from model.vae import VAE

MAX_VALUES = 1 << 22  # decoded at once, (row, draw) pairs times D
MAX_WIDE_VALUES = 1 << 18  # the same, where they become float64


class Proposal(Protocol):
    """q(z|x) of N examples, such as the encoder's or a refined one."""

    @property
    def noise_dim(self) -> int:
        """The number of normals per draw: J, or more if it also selects a component."""

    def reparameterize(self, eps: Tensor) -> Tensor:
        """Return z, (..., N, J), from eps ~ N(0, I), (..., N, `noise_dim`)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z|x) in nats for z, (..., N, J)."""

    def rows(self, index: Tensor) -> Self:
        """Return q of the examples at `index`."""


@final
@dataclass(frozen=True, eq=False)
class FullGaussian:
    """
    q(z|x) = N(z; mu, L L').

    Attributes:
        mu: Means, (N, J).
        scale_tril: Lower triangular L with a positive diagonal, (N, J, J).
    """

    mu: Tensor
    scale_tril: Tensor

    @property
    def noise_dim(self) -> int:
        """J, the number of standard normals that one draw needs."""
        return self.mu.shape[-1]

    def reparameterize(self, eps: Tensor) -> Tensor:
        """Return z = mu + L eps, (..., N, J)."""
        return self.mu + (self.scale_tril @ eps[..., None])[..., 0]

    def standardize(self, z: Tensor) -> Tensor:
        """Return eps, (..., N, J), of which `reparameterize` makes z."""
        eps: Tensor = torch.linalg.solve_triangular(
            self.scale_tril, (z - self.mu)[..., None], upper=False
        )
        return eps[..., 0]

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z|x) in nats, (..., N)."""
        eps = self.standardize(z)
        log_scale: Tensor = self.scale_tril.diagonal(dim1=-2, dim2=-1).log()
        return standard_normal_log_prob(eps) - log_scale.sum(dim=-1)

    def rows(self, index: Tensor) -> "FullGaussian":
        """Return q of the examples at `index`, integers, (...)."""
        return FullGaussian(self.mu[index], self.scale_tril[index])

    @classmethod
    def of(cls, q_z: "Gaussian") -> Self:
        """Return a Gaussian, of either kind, as one of this kind."""
        if isinstance(q_z, DiagonalGaussian):
            return cls(q_z.mu, torch.diag_embed(q_z.sigma))
        return cls(q_z.mu, q_z.scale_tril)


Gaussian = DiagonalGaussian | FullGaussian


@torch.no_grad()
def encode_wide(vae: VAE, x: Tensor) -> DiagonalGaussian:
    """Return the encoder's q(z|x) for x, (N, D), in float64 and without gradients."""
    q_z = vae.encode(x)
    return DiagonalGaussian(q_z.mu.double(), q_z.log_var.double())


def log_weight(
    vae: VAE,
    x: Tensor,
    q_z: Proposal,
    eps: Tensor,
    log_prior: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """
    Return log p(x, z) - log q(z|x) at z = q_z.reparameterize(eps), in nats, float64.

    Its mean over q is the ELBO; the log of the mean of its exponential is log p(x).

    Args:
        x: Data, (N, D).
        q_z: In float64, because rounding z would change its density.
        eps: (..., N, `q_z.noise_dim`).
        log_prior: A function of z to use in place of log p(z).
    """
    z = q_z.reparameterize(eps)
    log_p_z = (log_prior or vae.p_z.log_prob)(z)
    return log_likelihood(vae, x, z) + log_p_z - q_z.log_prob(z)


def rows_at_once(vae: VAE, draws_per_row: int) -> int:
    """Return how many rows, with `draws_per_row` each, may be decoded together."""
    return max(1, pairs_at_once(vae) // draws_per_row)


def pairs_at_once(vae: VAE) -> int:
    """Return how many (row, draw) pairs may be decoded together, 16 MB of float32."""
    return max(1, MAX_VALUES // vae.config.values_per_draw)


def wide_pairs_at_once(vae: VAE) -> int:
    """Return how many pairs may be decoded together in float64, 2 MB an array."""
    most = min(MAX_VALUES, MAX_WIDE_VALUES)
    return max(1, most // vae.config.values_per_draw)
