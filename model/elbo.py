"""The evidence lower bound, with its two terms, per example and in nats."""

from typing import NamedTuple

from torch import Tensor

from model.vae import VAE


class Elbo(NamedTuple):
    """
    An estimate of the ELBO and what it is made of, in nats.

    Attributes:
        log_likelihood: Monte Carlo mean of log p(x|z) over K draws of z, (N,).
        kl_per_dim: KL(q(z_j|x) || p(z_j)), closed form, (N, J).
    """

    log_likelihood: Tensor
    kl_per_dim: Tensor

    @property
    def kl(self) -> Tensor:
        """KL(q(z|x) || p(z)), (N,)."""
        return self.kl_per_dim.sum(dim=-1)

    @property
    def bound(self) -> Tensor:
        """The ELBO, a lower bound on log p(x), (N,)."""
        return self.log_likelihood - self.kl


def elbo(vae: VAE, x: Tensor, *, eps: Tensor) -> Elbo:
    """
    Estimate E_q[log p(x|z)] - KL(q(z|x) || p(z)), a lower bound on log p(x), in nats.

    Estimator (B) of Kingma & Welling (2014): Monte Carlo for the expectation, closed
    form for the KL divergence.

    Args:
        x: Data in the likelihood's support, (N, D).
        eps: Standard normal noise, (K, N, J).
    """
    q_z = vae.encode(x)  # q(z|x)
    p_x = vae.decode(q_z.reparameterize(eps))  # p(x|z), (K, N, D)

    return Elbo(
        log_likelihood=p_x.log_prob(x).mean(dim=0),
        kl_per_dim=q_z.kl_to_standard_normal(),
    )
