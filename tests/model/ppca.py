"""Probabilistic PCA (Tipping & Bishop 1999) as a VAE: everything in closed form."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from model.vae import VAE

Build = Callable[..., VAE]

D, N = 5, 4
# Sigma^2 of p(x|z), of which the floor's square, 0.01, is a part.
VARIANCE = 0.3


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class Ppca(NamedTuple):
    """
    Probabilistic PCA as a VAE: x = W z + b + sigma eps, and q linear in x.

    With M = W'W + sigma^2 I, p(z|x) = N(M^-1 W'(x - b), sigma^2 M^-1).
    """

    vae: VAE
    x: Tensor

    @property
    def w(self) -> Tensor:
        """Weights of the decoder's mean, (D, J)."""
        return weight(self.vae.decoder.mu)

    @property
    def r(self) -> Tensor:
        """Residuals x - b, (N, D)."""
        return self.x - bias(self.vae.decoder.mu)

    @property
    def m(self) -> Tensor:
        """Sigma^2 times the precision of p(z|x), (J, J)."""
        return self.w.T @ self.w + VARIANCE * torch.eye(self.w.shape[1]).double()

    @property
    def mu(self) -> Tensor:
        """Means of q(z|x), (N, J)."""
        return self.x @ weight(self.vae.encoder.mu).T + bias(self.vae.encoder.mu)

    @property
    def v(self) -> Tensor:
        """Variances of q(z|x), the same for every x, (J,)."""
        return bias(self.vae.encoder.log_var).exp()

    @property
    def log_p_x(self) -> Tensor:
        """Evidence in closed form, by the inverse of the J x J matrix M, (N,)."""
        j = self.w.shape[1]
        h = self.r @ self.w  # (N, J)
        square = self.r.square().sum(dim=1) - (h @ self.m.inverse() * h).sum(dim=1)
        return -0.5 * (
            D * math.log(2 * math.pi)
            + (D - j) * math.log(VARIANCE)
            + torch.logdet(self.m)
            + square / VARIANCE
        )

    @property
    def log_likelihood(self) -> Tensor:
        """E_q[log p(x|z)] in closed form, (N,)."""
        square = (self.r - self.mu @ self.w.T).square().sum(dim=1)
        spread = (self.v * self.w.square()).sum()
        return -0.5 * (
            D * math.log(2 * math.pi * VARIANCE) + (square + spread) / VARIANCE
        )

    @property
    def kl(self) -> Tensor:
        """KL(q(z|x) || p(z)) in closed form, (N,)."""
        return 0.5 * (self.mu**2 + self.v - 1 - self.v.log()).sum(dim=1)

    @property
    def gap(self) -> Tensor:
        """KL(q(z|x) || p(z|x)) of two Gaussians, by torch, (N,)."""
        inverse = self.m.inverse()
        posterior = MultivariateNormal(self.r @ self.w @ inverse, VARIANCE * inverse)
        q_z = MultivariateNormal(self.mu, torch.diag(self.v))
        gap: Tensor = kl_divergence(q_z, posterior)
        return gap


def weight(layer: object) -> Tensor:
    """Return the weights of a linear layer."""
    assert isinstance(layer, nn.Linear)
    return layer.weight.detach()


def bias(layer: object) -> Tensor:
    """Return the biases of a linear layer."""
    assert isinstance(layer, nn.Linear)
    return layer.bias.detach()


def ppca(build: Build, latent_dim: int) -> Ppca:
    """Return the model, its sigma fixed and its linear encoder arbitrary."""
    vae = build(
        data_shape=(D,), latent_dim=latent_dim, hidden=(), likelihood="gaussian"
    )
    weight(vae.decoder.log_var).zero_()
    bias(vae.decoder.log_var).fill_(math.log(VARIANCE - 0.1**2))
    weight(vae.encoder.log_var).zero_()
    return Ppca(vae.requires_grad_(False), 2 * random(N, D))


def best_ppca(build: Build, latent_dim: int) -> Ppca:
    """Return the model with the diagonal q that is closest to the exact posterior."""
    model = ppca(build, latent_dim)
    gain = model.m.inverse() @ model.w.T
    weight(model.vae.encoder.mu).copy_(gain)
    bias(model.vae.encoder.mu).copy_(-gain @ bias(model.vae.decoder.mu))
    bias(model.vae.encoder.log_var).copy_(torch.log(VARIANCE / model.m.diagonal()))
    return model
