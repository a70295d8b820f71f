"""
E_q[log p(z)] under a prior that is a mixture of Gaussians, with its rare, large terms.

Where one component c* has most of the density under q, log p(z) is almost quadratic.
Rarely, far from the mean of q, another component takes over, and log p(z) is much
higher there. Draws from q alone may miss this, and then their spread does not show it.
So half of the draws come from q tilted toward such components, with importance weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from model.distributions import standard_normal_log_prob
from model.inference.proposals import FullGaussian, Gaussian
from model.prior import GaussianMixture, Prior
from model.row_noise import RowNoise

_N_TILTS = 8
_POWERS = tuple(1.25**-k for k in range(24))  # from 1 to 0.006
_FROM_Q = 64  # draws from q in each replicate, and as many from the tilted ones
_MIN_PRECISION = 0.5  # of a tilted density, in units of q


@final
@dataclass(frozen=True, eq=False)
class Quadratic:
    """
    h(z) = sum_c w_c log N(z; mu_c, sigma_c^2), with weights w that suit one q.

    w_c is proportional to pi_c exp E_q[log N_c] (Hershey & Olsen 2007, Sec. 7), so h is
    close to log p(z) up to a constant where one component dominates.

    Attributes:
        p_z: The prior.
        share: w, (C,).
    """

    p_z: GaussianMixture
    share: Tensor

    @classmethod
    def near(cls, p_z: GaussianMixture, q_z: FullGaussian) -> "Quadratic":
        """Return h for q of one example, (1, J)."""
        variance = q_z.scale_tril.square().sum(dim=-1)
        expected = p_z.log_normals(q_z.mu, q_z.mu.square() + variance)
        return cls(p_z, torch.softmax(p_z.log_weights.to(expected) + expected, -1)[0])

    def log_normals(self, z: Tensor) -> Tensor:
        """Return log N(z; mu_c, sigma_c^2), (..., C)."""
        return self.p_z.log_normals(z, z.square())

    def __call__(self, z: Tensor) -> Tensor:
        """Return h(z), (...)."""
        return self.log_normals(z) @ self.share

    def rest(self, z: Tensor) -> Tensor:
        """Return log p(z) - h(z), (...)."""
        log_normals = self.log_normals(z)
        log_p = torch.logsumexp(self.p_z.log_weights.to(z) + log_normals, dim=-1)
        return log_p - log_normals @ self.share


class _Tilts(NamedTuple):
    """
    Densities proportional to q(z) R_c(z)^s, with R_c = pi_c N_c(z) / exp h(z).

    They are Gaussians with independent dimensions in the coordinates of q, (M, J).
    """

    mu: Tensor
    precision: Tensor

    def draw(self, eps: Tensor) -> Tensor:
        """Return one draw of each, (..., M, J), from standard normal eps."""
        return self.mu + eps / self.precision.sqrt()

    def log_prob(self, eps: Tensor) -> Tensor:
        """Return the log density of each at eps, (..., J), (..., M)."""
        root = self.precision.sqrt()
        return standard_normal_log_prob(
            (eps[..., None, :] - self.mu) * root
        ) + root.log().sum(dim=-1)


def split_prior(
    p_z: Prior, q_z: Gaussian, noise: RowNoise, *, n_replicates: int
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """
    Split log p(z) into a quadratic function of z, and the mean of the rest over q.

    The rest is estimated without decoding z.

    Args:
        q_z: Of one example, (1, J).

    Returns:
        The function, and independent unbiased estimates of the mean in nats, (F,).
    """
    if not isinstance(p_z, GaussianMixture):
        return p_z.log_prob, torch.zeros_like(q_z.mu[0, 0])
    q = FullGaussian.of(q_z)
    h = Quadratic.near(p_z, q)
    eps = noise.normal(n_replicates, 2 * _FROM_Q, p_z.latent_dim)[0]
    return h, _rest(h, q, eps)


def _rest(h: Quadratic, q_z: FullGaussian, eps: Tensor) -> Tensor:
    """Return estimates of E_q[log p(z) - h(z)], (F,), from eps, (F, 128, J)."""
    tilts = _tilts(h, q_z)
    n_tilts = len(tilts.mu)
    center = h.rest(q_z.mu)[0]
    if n_tilts == 0:
        return center
    of_tilts = eps[:, _FROM_Q:].reshape(len(eps), -1, _N_TILTS, eps.shape[2])
    of_tilts = tilts.draw(of_tilts[:, :, :n_tilts]).flatten(1, 2)
    u = torch.cat([eps[:, :_FROM_Q], of_tilts], dim=1)
    from_q = _FROM_Q / u.shape[1]
    log_normal = standard_normal_log_prob(u)
    log_tilted = tilts.log_prob(u).logsumexp(dim=-1) + math.log((1 - from_q) / n_tilts)
    log_proposal = torch.logaddexp(log_normal + math.log(from_q), log_tilted)
    ratio = torch.exp(log_normal - log_proposal)  # of mean 1
    excess = h.rest(q_z.mu + u @ q_z.scale_tril[0].T) - center
    return center + (ratio * excess).mean(dim=1)


def _tilts(h: Quadratic, q_z: FullGaussian) -> _Tilts:
    """
    Return the tilts toward the components whose rare terms may be the largest.

    log R_c = k + b u - u' diag(p) u / 2 in the coordinates u of q, without the terms
    off the diagonal, which are 0 if q is diagonal. For each c the power s minimizes
    E_q[R_c^s], a bound on the probability that c takes over (Chernoff).
    """
    p_z, mu, root = h.p_z, q_z.mu[0], q_z.scale_tril[0]
    precision = torch.exp(-p_z.log_var.to(mu))  # (C, J)
    linear = precision * p_z.mu.to(mu)
    p = precision - h.share @ precision
    b = linear - h.share @ linear - p * mu
    k = p_z.log_weights.to(mu) + h.log_normals(mu) - h(mu)
    p, b = p @ root.square(), b @ root
    powers = mu.new_tensor(_POWERS)[:, None, None]
    tilted = (1 + powers * p).clamp(min=_MIN_PRECISION)  # (S, C, J)
    log_mean = powers[..., 0] * k + 0.5 * (
        (powers * b).square() / tilted - tilted.log()
    ).sum(dim=-1)
    score, power = log_mean.min(dim=0)
    score[h.share.argmax()] = -torch.inf
    chosen = score.topk(min(_N_TILTS, len(score) - 1)).indices
    of_chosen = tilted[power[chosen], chosen]  # (M, J)
    means = powers[power[chosen], 0] * b[chosen] / of_chosen
    return _Tilts(means, of_chosen)
