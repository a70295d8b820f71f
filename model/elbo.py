"""The evidence lower bound (ELBO) and its two terms, per example, in nats."""

from typing import NamedTuple

from torch import Tensor

from model.vae import VAE


class Elbo(NamedTuple):
    """
    An estimate of the ELBO and its terms, in nats, of x in the model's units.

    Attributes:
        log_likelihood: Monte Carlo mean of log p(x|z) over K draws of z, (N,).
        kl: KL(q(z|x) || p(z)), (N,). Under a standard normal prior it has a closed
            form; under a mixture it is a mean over the same draws and may be negative.
        kl_per_dim: KL(q(z_j|x) || p(z_j)), (N, J); its sum over j is `kl`. None under
            a mixture, where the KL is not a sum over dimensions.
        per_draw: The ELBO from each draw of z, whose mean over K is `bound`, (K, N).
    """

    log_likelihood: Tensor
    kl: Tensor
    kl_per_dim: Tensor | None
    per_draw: Tensor

    @property
    def bound(self) -> Tensor:
        """The ELBO, a lower bound on log p(x), (N,)."""
        return self.log_likelihood - self.kl


def elbo(vae: VAE, x: Tensor, *, eps: Tensor) -> Elbo:
    """
    Estimate E_q[log p(x|z)] - KL(q(z|x) || p(z)), a lower bound on log p(x), in nats.

    Estimator (B) of Kingma & Welling (2014): Monte Carlo for the expectation, closed
    form for the KL divergence if the prior has one (`Prior.kl`).

    Args:
        x: Data in the likelihood's support, in the model's units, (N, D).
        eps: Standard normal noise, (K, N, J).
    """
    q_z = vae.encode(x)  # q(z|x)
    z = q_z.reparameterize(eps)
    log_p_x = vae.decode(z).log_prob(x)  # log p(x|z), (K, N)
    p_z = vae.p_z
    kl_per_dim = p_z.kl_per_dim(q_z)
    if kl_per_dim is None:
        kl_per_draw = p_z.kl_per_draw(q_z, z)
        kl = kl_per_draw.mean(dim=0)
    else:
        kl = kl_per_draw = kl_per_dim.sum(dim=-1)

    return Elbo(
        log_likelihood=log_p_x.mean(dim=0),
        kl=kl,
        kl_per_dim=kl_per_dim,
        per_draw=log_p_x - kl_per_draw,
    )
