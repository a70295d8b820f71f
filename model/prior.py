"""
The priors p(z): the standard normal, and mixtures of diagonal Gaussians.

A VampPrior (Tomczak & Welling 2018) is such a mixture: its components are q(z|u) of
learned pseudo-inputs u. The learned parameters are in `prior_weights`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.distributions import DiagonalGaussian, standard_normal_log_prob
from model.noise import Stream, normal_rows, uniform_rows

_BISECTIONS = 60


class Box(NamedTuple):
    """A box in latent space: its lower and upper corner, (J,) each."""

    low: Tensor
    high: Tensor


class Prior(ABC):
    """p(z). Log densities and divergences are in nats."""

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """J."""

    @abstractmethod
    def moments(self, device: torch.device) -> DiagonalGaussian:
        """Return means and log variances of the marginals p(z_j), (J,), float64."""

    @abstractmethod
    def marginal(self, dims: Sequence[int]) -> "Prior":
        """Return the marginal prior of these dimensions."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) for z, (..., J), as float64, (...)."""

    @abstractmethod
    def kl_per_dim(self, q_z: DiagonalGaussian) -> Tensor | None:
        """Return KL(q(z_j|x) || p(z_j)), (..., J); None if the KL is not their sum."""

    @abstractmethod
    def kl_per_draw(self, q_z: DiagonalGaussian, z: Tensor) -> Tensor:
        """Return an unbiased estimate of KL(q(z|x) || p(z)) from each z, (..., J)."""

    def kl(self, q_z: DiagonalGaussian, z: Tensor) -> Tensor:
        """
        Return KL(q(z|x) || p(z)), (N,): the closed form if it exists, else from draws.

        Args:
            q_z: (N, J).
            z: Draws from q_z, (K, N, J).
        """
        return self.kl_per_draw(q_z, z).mean(dim=0)

    @abstractmethod
    def sample(self, eps: Tensor, u: Tensor, *, temperature: float = 1.0) -> Tensor:
        """
        Return z ~ p(z), (..., J), from noise, in the dtype of eps.

        Args:
            eps: Standard normal, (..., J).
            u: Uniform on [0, 1), (...); selects the component of a mixture.
            temperature: Factor of the standard deviation (of each component, in a
                mixture). Means and weights are unchanged.
        """

    @abstractmethod
    def quantiles(self, levels: Tensor) -> Tensor:
        """
        Return quantiles of the marginals p(z_j), (J, Q).

        Args:
            levels: Probabilities in (0, 1), (Q,).

        Raises:
            ValueError: A level is not inside (0, 1).
        """

    @abstractmethod
    def box(self, half_width: float, device: torch.device) -> Box:
        """Return the box that holds every component's mean +- half_width * sigma."""


@final
@dataclass(frozen=True)
class StandardNormal(Prior):
    """
    p(z) = N(z; 0, I), the prior of AEVB.

    Attributes:
        n_dims: J.
    """

    n_dims: int

    @property
    def latent_dim(self) -> int:
        return self.n_dims

    def moments(self, device: torch.device) -> DiagonalGaussian:
        zeros = torch.zeros(self.latent_dim, dtype=torch.float64, device=device)
        return DiagonalGaussian(zeros, zeros)

    def marginal(self, dims: Sequence[int]) -> "StandardNormal":
        return StandardNormal(len(dims))

    def log_prob(self, z: Tensor) -> Tensor:
        return standard_normal_log_prob(z)

    def kl_per_dim(self, q_z: DiagonalGaussian) -> Tensor:
        return q_z.kl_to_standard_normal()

    def kl_per_draw(self, q_z: DiagonalGaussian, z: Tensor) -> Tensor:
        return q_z.kl_to_standard_normal().sum(dim=-1).expand(z.shape[:-1])

    def kl(self, q_z: DiagonalGaussian, z: Tensor) -> Tensor:
        """Return the closed form, (N,); z is not used."""
        return q_z.kl_to_standard_normal().sum(dim=-1)

    def sample(self, eps: Tensor, u: Tensor, *, temperature: float = 1.0) -> Tensor:
        return eps * temperature

    def quantiles(self, levels: Tensor) -> Tensor:
        _check(levels)
        quantiles: Tensor = torch.special.ndtri(levels)
        return quantiles.expand(self.latent_dim, -1)

    def box(self, half_width: float, device: torch.device) -> Box:
        edge = half_width + self.moments(device).mu
        return Box(-edge, edge)


@final
@dataclass(frozen=True, eq=False)
class GaussianMixture(Prior):
    """
    p(z) = sum_c pi_c N(z; mu_c, diag(sigma_c^2)), computed in float64.

    Attributes:
        log_weights: log pi, normalized, (C,).
        mu: (C, J).
        log_var: log sigma^2, (C, J).
    """

    log_weights: Tensor
    mu: Tensor
    log_var: Tensor

    @property
    def latent_dim(self) -> int:
        return self.mu.shape[1]

    def moments(self, device: torch.device) -> DiagonalGaussian:
        weights, mu, log_var = self._in_float64(device)
        mean = weights @ mu
        variance = weights @ (log_var.exp() + (mu - mean).square())
        return DiagonalGaussian(mean, variance.log())

    def marginal(self, dims: Sequence[int]) -> "GaussianMixture":
        index = list(dims)
        return GaussianMixture(
            self.log_weights, self.mu[:, index], self.log_var[:, index]
        )

    def log_prob(self, z: Tensor) -> Tensor:
        z = z.double()
        log_weights = self.log_weights.to(z)
        return torch.logsumexp(log_weights + self.log_normals(z, z.square()), dim=-1)

    def kl_per_dim(self, q_z: DiagonalGaussian) -> Tensor | None:
        return None

    def kl_per_draw(self, q_z: DiagonalGaussian, z: Tensor) -> Tensor:
        """
        Return E_q[log q - h] + h(z) - log p(z), unbiased for every h, (...).

        h is a control variate: h(z) = sum_c w_c log N(z; mu_c, sigma_c^2), where w_c is
        proportional to pi_c exp E_q[log N_c], as in the variational bound of Hershey &
        Olsen (2007). Its expectation has a closed form, and it is strongly correlated
        with log p(z), so the variance is small; it is 0 where one component has all the
        weight.
        """
        z, mu, log_var = z.double(), q_z.mu.double(), q_z.log_var.double()
        log_weights = self.log_weights.to(z)
        log_normals = self.log_normals(z, z.square())  # (..., C)
        expected = self.log_normals(mu, mu.square() + log_var.exp())
        share = torch.softmax(log_weights + expected, dim=-1).detach()  # w
        log_p = torch.logsumexp(log_weights + log_normals, dim=-1)
        entropy = 0.5 * (1 + math.log(2 * math.pi) + log_var).sum(dim=-1)
        excess = (share * (log_normals - expected)).sum(dim=-1)  # h - E_q[h]
        return (excess - log_p - entropy).to(q_z.mu.dtype)

    def sample(self, eps: Tensor, u: Tensor, *, temperature: float = 1.0) -> Tensor:
        weights, mu, log_var = self._in_float64(eps.device)
        share = weights.cumsum(dim=0)
        # Scaled by the last cumulative weight, which rounding may move away from 1.
        aim = u.double().contiguous() * share[-1]
        component = torch.searchsorted(share, aim, right=True)
        component = component.clamp(max=len(share) - 1)
        scatter = torch.exp(0.5 * log_var)[component] * eps.double()
        return (mu[component] + temperature * scatter).to(eps.dtype)

    def quantiles(self, levels: Tensor) -> Tensor:
        _check(levels)
        weights, mu, log_var = self._in_float64(levels.device)
        levels = levels.double()
        own = torch.special.ndtri(levels)[:, None]  # (Q, 1)
        found = []
        for m, s in zip(mu.T, torch.exp(0.5 * log_var).T, strict=True):  # (C,) each
            # A quantile of a mixture lies between those of its components.
            ends = m + s * own  # (Q, C)
            low, high = ends.amin(dim=1), ends.amax(dim=1)
            for _ in range(_BISECTIONS):
                middle = 0.5 * (low + high)
                share = torch.special.ndtr((middle[:, None] - m) / s) @ weights
                low = torch.where(share < levels, middle, low)
                high = torch.where(share < levels, high, middle)
            found.append(0.5 * (low + high))
        return torch.stack(found)

    def box(self, half_width: float, device: torch.device) -> Box:
        _, mu, log_var = self._in_float64(device)
        reach = half_width * torch.exp(0.5 * log_var)
        return Box((mu - reach).amin(dim=0), (mu + reach).amax(dim=0))

    def _in_float64(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights, means and log variances in float64 on a device."""
        parts = (self.log_weights, self.mu, self.log_var)
        log_weights, mu, log_var = (part.to(device).double() for part in parts)
        return log_weights.exp(), mu, log_var

    def log_normals(self, z: Tensor, square: Tensor) -> Tensor:
        """
        Return log N(z; mu_c, sigma_c^2), (..., C), from z and its square.

        It is linear in both, so from E_q[z] and E_q[z^2] it gives
        E_q[log N(z; mu_c, sigma_c^2)]. Two matrix products take C J operations per row
        and need no array of shape (..., C, J).
        """
        mu, log_var = self.mu.to(z), self.log_var.to(z)
        precision = torch.exp(-log_var)  # (C, J)
        constant = math.log(2 * math.pi) + log_var + precision * mu.square()
        linear = z @ (precision * mu).T
        return linear - 0.5 * (square @ precision.T + constant.sum(dim=1))


def draw(
    p_z: Prior, n: int, *, seed: int, temperature: float = 1.0, first: int = 0
) -> NDArray[np.float32]:
    """
    Draw z ~ p(z), (n, J), as `/sample` does; a row depends on seed and position alone.

    Args:
        temperature: As in `Prior.sample`.
        first: Position of the first row.
    """
    shape = (n, p_z.latent_dim)
    eps = normal_rows(shape, seed=seed, stream=Stream.PRIOR, first=first)
    u = uniform_rows((n,), seed=seed, stream=Stream.COMPONENT, first=first)
    z = p_z.sample(torch.from_numpy(eps), torch.from_numpy(u), temperature=temperature)
    found: NDArray[np.float32] = z.detach().cpu().numpy()
    return found


def _check(levels: Tensor) -> None:
    outside = ~((levels > 0) & (levels < 1))
    if outside.any():
        raise ValueError(f"expected levels in (0, 1), got {levels[outside][0].item()}")
