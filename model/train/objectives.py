"""The objectives of training: the ELBO, and importance-weighted bounds."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.elbo import elbo
from model.noise import Stream, generator
from model.train.options import ObjectiveName
from model.vae import VAE

_PAIRS_PER_CHUNK = 2000


class Terms(NamedTuple):
    """The terms of the ELBO, for every objective: means over a batch, in nats."""

    log_likelihood: Tensor
    kl: Tensor


# Maps a VAE, x (N, D), eps (K, N, J) and the weight of the KL to the loss and terms.
Objective = Callable[[VAE, Tensor, Tensor, Tensor], tuple[Tensor, Terms]]


def mean_elbo(
    vae: VAE, x: Tensor, eps: Tensor, kl_weight: Tensor
) -> tuple[Tensor, Terms]:
    """Return the loss, and the terms of the ELBO without the weight of the KL."""
    bound = elbo(vae, x, eps=eps)
    terms = Terms(bound.log_likelihood.mean(), bound.kl.mean())
    return kl_weight * terms.kl - terms.log_likelihood, terms


def free_bits_elbo(free_bits: float) -> Objective:
    """
    Return the objective whose KL costs at least so many nats per dimension of z.

    sum_j max(free_bits, KL_j), with KL_j a mean over the batch (Kingma et al. 2016,
    eq. 15), so that a dimension is used where that is free.
    """

    def objective(
        vae: VAE, x: Tensor, eps: Tensor, kl_weight: Tensor
    ) -> tuple[Tensor, Terms]:
        bound = elbo(vae, x, eps=eps)
        assert bound.kl_per_dim is not None  # noqa: S101  the prior is standard
        paid = bound.kl_per_dim.mean(dim=0).clamp(min=free_bits).sum()
        terms = Terms(bound.log_likelihood.mean(), bound.kl.mean())
        return kl_weight * paid - terms.log_likelihood, terms

    return objective


def iwae(vae: VAE, x: Tensor, eps: Tensor, _kl_weight: Tensor) -> tuple[Tensor, Terms]:
    """
    Return -L_K, L_K = E[log 1/K sum_k w_k], and the terms (Burda et al. 2016, eq. 8).

    Here w_k = p(x|z_k) p(z_k) / q(z_k|x), and the gradient is the reparameterized one.
    """
    q_z = vae.encode(x)
    z = q_z.reparameterize(eps)
    log_likelihood, log_w = _log_weights(vae, x, z, q_z)
    bound = torch.logsumexp(log_w, dim=0) - math.log(len(eps))
    return -bound.mean(), _terms(vae, log_likelihood, q_z, z)


def dreg(vae: VAE, x: Tensor, eps: Tensor, _kl_weight: Tensor) -> tuple[Tensor, Terms]:
    """
    Return a loss with the doubly reparameterized gradient of -L_K, and the terms.

    With v_k = w_k / sum w the gradient of L_K in theta is E[sum_k v_k d log w_k], as
    for `iwae`, and in phi E[sum_k v_k^2 d log w_k / dz_k dz_k / dphi], of the same
    expectation (Tucker et al. 2019, eq. 8). Its variance vanishes as q approaches
    p(z|x); far from there it may be larger than that of `iwae`. The loss itself, minus
    the mean of sum_k v_k log w_k, is not a bound.
    """
    q_z = vae.encode(x)
    z = q_z.reparameterize(eps)
    # phi acts only through z: the score term of q is left out, and the second factor
    # v_k below accounts for its expectation.
    held = DiagonalGaussian(q_z.mu.detach(), q_z.log_var.detach())
    log_likelihood, log_w = _log_weights(vae, x, z, held)
    share = torch.softmax(log_w.detach(), dim=0)  # v_k, (K, N)
    if z.requires_grad:
        # The gradient in z has one factor v_k already. The hook does not affect theta.
        z.register_hook(share[..., None].mul)  # type: ignore[no-untyped-call]
    surrogate = (share * log_w).sum(dim=0)
    return -surrogate.mean(), _terms(vae, log_likelihood, q_z, z)


@torch.inference_mode()
def mean_bound(vae: VAE, x: Tensor, *, n_samples: int, seed: int) -> float:
    """
    Return the mean over the rows of x, (N, D), of L_K with K = `n_samples`, in nats.

    x is in the model's units, the density in those of the data. L_1 is the ELBO. The
    noise is that of `estimate_elbo` up to `BLOCK_ROWS` rows.
    """
    draw = generator(seed, Stream.LATENT)
    total = 0.0
    for rows in torch.split(x, max(1, _PAIRS_PER_CHUNK // n_samples)):
        shape = (len(rows), n_samples, vae.config.latent_dim)
        eps = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))
        eps = eps.to(x.device).transpose(0, 1)
        loss, _ = iwae(vae, rows, eps, x.new_tensor(1.0))
        total -= float(loss) * len(rows)
    return total / len(x) + vae.log_jacobian


OBJECTIVES: Mapping[ObjectiveName, Objective] = {
    "elbo": mean_elbo,
    "iwae": iwae,
    "dreg": dreg,
}


def _log_weights(
    vae: VAE, x: Tensor, z: Tensor, q_z: DiagonalGaussian
) -> tuple[Tensor, Tensor]:
    """Return log p(x|z) and log w = log p(x, z) - log q(z|x), (K, N) each."""
    log_likelihood = vae.decode(z).log_prob(x)
    log_prior = vae.p_z.log_prob(z).to(z.dtype)
    return log_likelihood, log_likelihood + log_prior - q_z.log_prob(z)


def _terms(vae: VAE, log_likelihood: Tensor, q_z: DiagonalGaussian, z: Tensor) -> Terms:
    kl = vae.p_z.kl(q_z, z)
    return Terms(log_likelihood.mean(), kl.mean())
