"""The distributions of a VAE: q(z|x) and the families of p(x|z)."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor
from torch.nn.functional import softplus

# Below it, log1p(exp(t)) does not overflow; above it, it equals t in float64.
_SOFTPLUS_THRESHOLD = 40.0


def normal_log_prob(x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    """Return log N(x; mu, exp(log_var)) of each element, in nats."""
    # Square last: 1 / sigma can be finite where 1 / sigma^2 overflows.
    u = (x - mu) * torch.exp(-0.5 * log_var)
    return -0.5 * (math.log(2 * math.pi) + log_var + u.square())


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Return log N(z; 0, I) for z, (..., J), in nats, as float64, (...)."""
    square = z.double().square().sum(dim=-1)
    return -0.5 * (z.shape[-1] * math.log(2 * math.pi) + square)


@final
@dataclass(frozen=True, eq=False)
class DiagonalGaussian:
    """
    q(z|x) = prod_j N(z_j; mu_j, sigma_j^2), the encoder of AEVB App. C.2.

    Attributes:
        mu: Means, (..., J).
        log_var: Logarithms of the variances sigma^2, (..., J).
    """

    mu: Tensor
    log_var: Tensor

    @property
    def sigma(self) -> Tensor:
        """Standard deviations, (..., J)."""
        return torch.exp(0.5 * self.log_var)

    @property
    def noise_dim(self) -> int:
        """J, the number of standard normals that one draw needs."""
        return self.mu.shape[-1]

    def reparameterize(self, eps: Tensor) -> Tensor:
        """Return z = mu + sigma * eps (AEVB Sec. 2.4); eps is (..., J)."""
        return self.mu + self.sigma * eps

    def standardize(self, z: Tensor) -> Tensor:
        """Return eps, (..., J), of which `reparameterize` makes z."""
        return (z - self.mu) / self.sigma

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z|x) in nats, (...)."""
        return normal_log_prob(z, self.mu, self.log_var).sum(dim=-1)

    def rows(self, index: Tensor) -> "DiagonalGaussian":
        """Return q of the examples at `index`, integers, (...)."""
        return DiagonalGaussian(self.mu[index], self.log_var[index])

    def kl_to_standard_normal(self) -> Tensor:
        """
        Return KL(q(z_j|x) || N(0, 1)) of each latent dimension, in nats, (..., J).

        1/2 (mu^2 + sigma^2 - 1 - log sigma^2): AEVB App. B with the sign of a KL.
        """
        # expm1: no cancellation where q is close to the prior.
        return 0.5 * (self.mu.square() + torch.expm1(self.log_var) - self.log_var)


class Likelihood(ABC):
    """
    p(x|z) = prod_d p(x_d|z), the distribution that the decoder returns.

    Attributes:
        kind: Its name in `config.json`.
        noise: The kind of noise that `sample` needs.
        support: The values that x may have, as text for messages.
        value_range: The smallest and the largest value of x; None if unbounded.
    """

    kind: ClassVar[str]
    noise: ClassVar[Literal["uniform", "normal"]]
    support: ClassVar[str]
    value_range: ClassVar[tuple[float, float] | None]

    @abstractmethod
    def log_prob_per_dim(self, x: Tensor) -> Tensor:
        """Return log p(x_d|z) in nats, (..., D)."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[x|z], (..., D)."""

    @property
    @abstractmethod
    def variance(self) -> Tensor:
        """Var[x_d|z], (..., D)."""

    @abstractmethod
    def sample(self, noise: Tensor) -> Tensor:
        """Draw x ~ p(x|z), (..., D), from noise of the kind `self.noise`, (..., D)."""

    @staticmethod
    @abstractmethod
    def in_support(x: Tensor) -> Tensor:
        """Return for each element whether it lies in the support."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x|z) in nats, (...)."""
        return self.log_prob_per_dim(x).sum(dim=-1)


@final
@dataclass(frozen=True, eq=False)
class Bernoulli(Likelihood):
    """
    p(x|z) = prod_d Bernoulli(x_d; sigmoid(eta_d)), for x in {0, 1}^D (AEVB App. C.1).

    Attributes:
        eta: Logits, (..., D).
    """

    kind = "bernoulli"
    noise = "uniform"
    support = "{0, 1}"
    value_range = (0.0, 1.0)

    eta: Tensor

    def log_prob_per_dim(self, x: Tensor) -> Tensor:
        # Exponential-family form: no log(0) when the sigmoid saturates.
        return x * self.eta - softplus(self.eta, threshold=_SOFTPLUS_THRESHOLD)

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.eta)

    @property
    def variance(self) -> Tensor:
        # Not m (1 - m): 1 - m rounds to 0 where the sigmoid saturates.
        return torch.sigmoid(self.eta) * torch.sigmoid(-self.eta)

    def sample(self, noise: Tensor) -> Tensor:
        return (noise < self.mean).to(noise.dtype)

    @staticmethod
    def in_support(x: Tensor) -> Tensor:
        return (x == 0) | (x == 1)


@final
@dataclass(frozen=True, eq=False)
class ContinuousBernoulli(Likelihood):
    """
    p(x|z) = prod_d C(l_d) l_d^x_d (1 - l_d)^(1 - x_d), l = sigmoid(eta), x in [0, 1]^D.

    Loaiza-Ganem & Cunningham (2019). In logits it is the exponential family
    log p(x) = x eta - A(eta) with A(eta) = log((e^eta - 1) / eta), written below as
    (x - 1/2) eta - log(sinh(eta/2) / (eta/2)), which is even and smooth at l = 1/2.

    Attributes:
        eta: Logits, (..., D).
    """

    kind = "continuous_bernoulli"
    noise = "uniform"
    support = "[0, 1]"
    value_range = (0.0, 1.0)

    eta: Tensor

    def log_prob_per_dim(self, x: Tensor) -> Tensor:
        return (x - 0.5) * self.eta - log_sinhc(0.5 * self.eta)

    @property
    def mean(self) -> Tensor:
        """A'(eta) = 1/2 + coth(eta/2) / 2 - 1 / eta, not sigmoid(eta); (..., D)."""
        small = self.eta.abs() < 0.5
        # The inner wheres keep the gradient of the branch not taken finite.
        near = torch.where(small, self.eta, 0.0)
        far = torch.where(small, 1.0, self.eta)
        series = near * _polynomial(
            near.square(), 1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160
        )
        return 0.5 + torch.where(small, series, 0.5 / torch.tanh(0.5 * far) - 1 / far)

    @property
    def variance(self) -> Tensor:
        """A''(eta) = 1 / eta^2 - 1 / (4 sinh^2(eta/2)), even in eta; (..., D)."""
        small = self.eta.abs() < 0.5
        # The inner wheres keep the gradient of the branch not taken finite.
        near = torch.where(small, self.eta, 0.0).square()
        far = torch.where(small, 1.0, self.eta.abs())
        series = _polynomial(
            near,
            *(1 / 12, -1 / 240, 1 / 6048, -1 / 172800),
            *(1 / 5322240, -7601 / 1307674368000),
        )
        return torch.where(
            small, series, 1 / far.square() - torch.exp(-far) / torch.expm1(-far) ** 2
        )

    def sample(self, noise: Tensor) -> Tensor:
        # Inverse CDF, mirrored for eta < 0, so that the exponent is never positive.
        u = torch.where(self.eta < 0, 1 - noise, noise)
        eta = self.eta.abs()
        small = eta < 1e-3
        safe = torch.where(small, 1.0, eta)
        far = 1 + torch.log1p((1 - u) * torch.expm1(-safe)) / safe
        x = torch.where(small, u + 0.5 * eta * u * (1 - u), far).clamp(0, 1)
        return torch.where(self.eta < 0, 1 - x, x)

    @staticmethod
    def in_support(x: Tensor) -> Tensor:
        return (x >= 0) & (x <= 1)


@final
@dataclass(frozen=True, eq=False)
class Gaussian(Likelihood):
    """
    p(x|z) = prod_d N(x_d; mu_d, sigma_d^2), for x in R^D (AEVB App. C.2).

    Attributes:
        mu: Means, (..., D).
        log_var: Logarithms of the variances, (..., D).
    """

    kind = "gaussian"
    noise = "normal"
    support = "the finite real numbers"
    value_range = None

    mu: Tensor
    log_var: Tensor

    def log_prob_per_dim(self, x: Tensor) -> Tensor:
        return normal_log_prob(x, self.mu, self.log_var)

    @property
    def mean(self) -> Tensor:
        return self.mu

    @property
    def variance(self) -> Tensor:
        return torch.exp(self.log_var)

    def sample(self, noise: Tensor) -> Tensor:
        return self.mu + torch.exp(0.5 * self.log_var) * noise

    @staticmethod
    def in_support(x: Tensor) -> Tensor:
        return torch.isfinite(x)


def log_sinhc(a: Tensor) -> Tensor:
    """Return log(sinh(a) / a), an even function of a that is 0 at 0."""
    small = a.abs() < 0.25
    # The inner wheres keep the gradient of the branch not taken finite.
    square = torch.where(small, a, 0.0).square()
    far = torch.where(small, 1.0, a.abs())
    series = square * _polynomial(
        square, 1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775
    )
    return torch.where(
        small, series, far + torch.log1p(-torch.exp(-2 * far)) - torch.log(2 * far)
    )


def _polynomial(t: Tensor, *coefficients: float) -> Tensor:
    """Return sum_i coefficients[i] t^i, by Horner's rule."""
    total = torch.full_like(t, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * t + coefficient
    return total
