"""Proposals q(z|x) for importance weights p(x, z) / q(z|x)."""

import math
from dataclasses import dataclass
from typing import Protocol, Self, final

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian, standard_normal_log_prob
from model.vae import VAE

MAX_VALUES = 1 << 22  # decoded at once, (row, draw) pairs times D

# Of a defensive mixture: the scales of q and their shares; the rest is the prior's.
_SCALES = (1.0, math.sqrt(2.0), 2.0)
_SHARES = (0.6, 0.2, 0.1)
# Normal quantiles of 0.6, 0.8 and 0.9.
_ENDS = (0.2533471031357997, 0.8416212335729143, 1.2815515655446004)


class Proposal(Protocol):
    """q(z|x) of N examples: the encoder's, a refined one, or others for weights."""

    @property
    def noise_dim(self) -> int:
        """How many normals a draw takes: J, unless it takes some to choose."""

    def reparameterize(self, eps: Tensor) -> Tensor:
        """Return z, (..., N, J), made of eps ~ N(0, I), (..., N, `noise_dim`)."""

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
        """J: a draw takes as many normals as it has dimensions."""
        return self.mu.shape[-1]

    def reparameterize(self, eps: Tensor) -> Tensor:
        """Return z = mu + L eps, (..., N, J)."""
        return self.mu + (self.scale_tril @ eps[..., None])[..., 0]

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z|x) in nats, (..., N)."""
        eps = torch.linalg.solve_triangular(
            self.scale_tril, (z - self.mu)[..., None], upper=False
        )[..., 0]
        log_scale: Tensor = self.scale_tril.diagonal(dim1=-2, dim2=-1).log()
        return standard_normal_log_prob(eps) - log_scale.sum(dim=-1)

    def rows(self, index: Tensor) -> "FullGaussian":
        """Return q of the examples at `index`, integers, (...)."""
        return FullGaussian(self.mu[index], self.scale_tril[index])


@final
@dataclass(frozen=True, eq=False)
class Defensive:
    """
    0.6 q(z|x), 0.2 and 0.1 of it with sigma sqrt 2 and 2 times as large, 0.1 the prior.

    A q that is too narrow, or sits on one of several modes, gives weights that are
    rarely huge: their mean is then too small, and its error tells nothing of it. Where
    the weights of q vary by p / q, those of this mixture do by 1.7 p / q at most, and
    none exceeds 10 p(x|z) under a normal prior (Hesterberg 1995; Owen & Zhou 2000).

    Attributes:
        q_z: (N, J), in float64.
        p_z: The prior's mean and variance, (J,), in float64.
    """

    q_z: DiagonalGaussian
    p_z: DiagonalGaussian

    @classmethod
    def around(cls, q_z: DiagonalGaussian, vae: VAE) -> Self:
        """Return the mixture around q(z|x)."""
        p_z = vae.p_z.moments(q_z.mu.device)
        return cls(q_z, DiagonalGaussian(p_z.mu.double(), p_z.log_var.double()))

    @property
    def noise_dim(self) -> int:
        """J + 1: the first normal chooses the component."""
        return self.q_z.noise_dim + 1

    def reparameterize(self, eps: Tensor) -> Tensor:
        """Return z, (..., N, J), of the components that eps chooses."""
        choice, eps = eps[..., :1], eps[..., 1:]
        scale = torch.full_like(choice, _SCALES[0])
        for begin, wider in zip(_ENDS, _SCALES[1:], strict=False):
            scale = torch.where(choice < begin, scale, wider)
        z = self.q_z.reparameterize(scale * eps)
        return torch.where(choice < _ENDS[-1], z, self.p_z.reparameterize(eps))

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the mixture's log density in nats, (..., N)."""
        distance = ((z - self.q_z.mu) / self.q_z.sigma).square().sum(dim=-1)
        dim = z.shape[-1]
        constant = 0.5 * (self.q_z.log_var.sum(dim=-1) + dim * math.log(2 * math.pi))
        parts = [
            math.log(share)
            - dim * math.log(scale)
            - distance / (2 * scale**2)
            - constant
            for share, scale in zip(_SHARES, _SCALES, strict=True)
        ]
        rest = math.log(1 - sum(_SHARES))
        parts.append(rest + self.p_z.log_prob(z))
        return torch.logsumexp(torch.stack(parts), dim=0)

    def rows(self, index: Tensor) -> "Defensive":
        """Return the mixtures of the examples at `index`, integers, (...)."""
        return Defensive(self.q_z.rows(index), self.p_z)


@torch.no_grad()
def encoded(vae: VAE, x: Tensor) -> DiagonalGaussian:
    """Return the encoder's q(z|x) of x, (N, D), in float64 and without gradient."""
    q_z = vae.encode(x)
    return DiagonalGaussian(q_z.mu.double(), q_z.log_var.double())


def log_weight(vae: VAE, x: Tensor, q_z: Proposal, eps: Tensor) -> Tensor:
    """
    Return log p(x, z) - log q(z|x) at z = q_z.reparameterize(eps), in nats, float64.

    Its mean over q is the ELBO; the log of the mean of its exponential is log p(x).

    Args:
        x: Data, (N, D).
        q_z: In float64: a z that was rounded has another density.
        eps: (..., N, `q_z.noise_dim`).
    """
    z = q_z.reparameterize(eps)
    return vae.log_joint(x, z) - q_z.log_prob(z)


def rows_at_once(vae: VAE, draws_per_row: int) -> int:
    """Return how many rows with so many draws each fit a bounded piece of memory."""
    return max(1, pairs_at_once(vae) // draws_per_row)


def pairs_at_once(vae: VAE) -> int:
    """Return how many (row, draw) pairs may be decoded together, 16 MB of float32."""
    return max(1, MAX_VALUES // vae.config.values_per_draw)
