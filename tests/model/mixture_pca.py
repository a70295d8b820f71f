"""A linear-Gaussian decoder under a mixture prior: everything in closed form."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from model.noise import data_noise
from model.prior import GaussianMixture, draw
from model.vae import VAE
from tests.model.ppca import VARIANCE, Build, D, bias, random, weight

N = 4


class MixturePca(NamedTuple):
    """
    x = W z + b + s eps with z ~ sum_c pi_c N(m_c, S_c), S_c diagonal.

    Given the component all is Gaussian: p(x|c) = N(W m_c + b, W S_c W' + s^2 I), and
    p(z|x, c) has precision S_c^-1 + W'W / s^2.
    """

    vae: VAE
    x: Tensor

    @property
    def w(self) -> Tensor:
        """Weights of the decoder's mean, (D, J)."""
        return weight(self.vae.decoder.mu)

    @property
    def b(self) -> Tensor:
        """Biases of the decoder's mean, (D,)."""
        return bias(self.vae.decoder.mu)

    @property
    def p_z(self) -> GaussianMixture:
        """The prior."""
        p_z = self.vae.p_z
        assert isinstance(p_z, GaussianMixture)
        return p_z

    @property
    def log_p_x_and_c(self) -> Tensor:
        """Log p(x, c), (N, C)."""
        return self.log_prob(range(D), self.x)

    @property
    def log_p_x(self) -> Tensor:
        """Evidence, (N,)."""
        return self.log_p_x_and_c.logsumexp(dim=1)

    def simulated(self, n: int) -> tuple[Tensor, Tensor]:
        """Return x, (n, D), and the z it comes from, (n, J)."""
        z = torch.from_numpy(draw(self.p_z, n, seed=3)).double()
        noise = data_noise("normal", (n, D), seed=3)
        return self.vae.decode(z).sample(torch.from_numpy(noise).double()), z

    def log_prob(self, dims: range, x: Tensor) -> Tensor:
        """Return log p(x_o, c) of some dimensions of x, (N, |o|) to (N, C)."""
        w, b = self.w[list(dims)], self.b[list(dims)]
        parts = []
        for pi, m, s in zip(self.p_z.log_weights, self.p_z.mu, self._s, strict=True):
            covariance = w @ s @ w.T + VARIANCE * torch.eye(len(dims)).double()
            normal = MultivariateNormal(w @ m + b, covariance)
            parts.append(pi + normal.log_prob(x))  # type: ignore[no-untyped-call]
        return torch.stack(parts, dim=1)

    def posterior(self, dims: range, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log p(c|x_o), (N, C), means, (N, C, J), and covariances, (C, J, J)."""
        w, b = self.w[list(dims)], self.b[list(dims)]
        precision = self._s.inverse() + w.T @ w / VARIANCE
        covariance = precision.inverse()
        pull = (x - b) @ w / VARIANCE  # (N, J)
        prior = (self._s.inverse() @ self.p_z.mu[..., None])[..., 0]  # (C, J)
        mean = torch.einsum("cij,ncj->nci", covariance, pull[:, None] + prior)
        return self.log_prob(dims, x).log_softmax(dim=1), mean, covariance

    def posterior_moments(self, dims: range, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return E[z|x_o], (N, J), and Cov[z|x_o], (N, J, J)."""
        log_share, means, covariances = self.posterior(dims, x)
        share = log_share.exp()
        mean = (share[..., None] * means).sum(dim=1)
        off = means - mean[:, None]
        spread = covariances + off[..., :, None] * off[..., None, :]
        return mean, (share[..., None, None] * spread).sum(dim=1)

    @property
    def log_likelihood(self) -> Tensor:
        """E_q[log p(x|z)], (N,)."""
        q_z = self.vae.encode(self.x)
        square = (self.x - self.b - q_z.mu @ self.w.T).square().sum(dim=1)
        spread = (q_z.sigma.square() @ self.w.square().T).sum(dim=1)
        return -0.5 * (
            D * math.log(2 * math.pi * VARIANCE) + (square + spread) / VARIANCE
        )

    @property
    def _s(self) -> Tensor:
        return torch.diag_embed(self.p_z.log_var.exp())  # (C, J, J)


def mixture_pca(
    build: Build, latent_dim: int, *, n_components: int = 3, apart: float = 1.5
) -> MixturePca:
    """
    Return a model whose components lie about so far apart, and some data.

    Its q(z|x) is that for N(0, I), a little wider.
    """
    vae = build(
        data_shape=(D,),
        latent_dim=latent_dim,
        hidden=(),
        likelihood="gaussian",
        prior={"kind": "gaussian_mixture", "n_components": n_components},
    )
    weight(vae.decoder.log_var).zero_()
    bias(vae.decoder.log_var).fill_(math.log(VARIANCE - 0.1**2))
    w = weight(vae.decoder.mu)
    m = w.T @ w + VARIANCE * torch.eye(latent_dim).double()
    gain = m.inverse() @ w.T
    weight(vae.encoder.mu).copy_(gain)
    bias(vae.encoder.mu).copy_(-gain @ bias(vae.decoder.mu))
    weight(vae.encoder.log_var).zero_()
    bias(vae.encoder.log_var).copy_(torch.log(VARIANCE / m.diagonal()) + 0.3)
    shape = (n_components, latent_dim)
    with torch.no_grad():
        vae.get_parameter("prior.mean").copy_(apart * random(*shape, seed=3))
        vae.get_parameter("prior.log_var").copy_(0.5 * random(*shape, seed=4) - 0.5)
        vae.get_parameter("prior.logits").copy_(random(n_components, seed=5))
    return MixturePca(vae.requires_grad_(False), 2 * random(N, D))
