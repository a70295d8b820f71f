"""
log p(x|z) and log p(x, z) as functions of z, faster than the likelihood's own formula.

For binary x, log p(x|z) = -log prod_d (1 + exp((1 - 2 x_d) eta_d)). One logarithm of a
product is faster than a sum of many logarithms, and the gradient needs no more.

Nearly all the time of an analysis passes here, so this is where it may `pause`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from model.distributions import Bernoulli
from model.inference.pauses import pause
from model.vae import VAE

_DOUBLINGS = 4  # of the factors in a product, 16 at most
_LARGEST = 80.0  # exp of more overflows in float32


@torch.no_grad()
def log_likelihood(
    vae: VAE, x: Tensor, z: Tensor, observed: Tensor | None = None
) -> Tensor:
    """
    Return log p(x|z) in nats, summed in float64, without gradients, (...).

    Args:
        x: Data of the model's dtype, (N, D).
        z: Latents of any dtype, (..., N, J).
        observed: The values of x that count, bool, (N, D); all unless given.
    """
    pause()
    p_x = vae.decode(z.to(x.dtype))
    if isinstance(p_x, Bernoulli):
        factors = p_x.eta.mul_(1 - 2 * x).exp_().add_(1)
        if observed is not None:
            factors.masked_fill_(~observed, 1)
        log_p_x = -_log_of_product(factors)
        if bool(log_p_x.isfinite().all()):
            return log_p_x
        p_x = vae.decode(z.to(x.dtype))
    return _sum(p_x.log_prob_per_dim(x), observed)


def log_likelihood_with_gradient(
    vae: VAE, x: Tensor, z: Tensor, observed: Tensor | None = None
) -> Tensor:
    """Return log p(x|z), once differentiable in z; see `log_likelihood`."""
    pause()
    p_x = vae.decode(z.to(x.dtype))
    if isinstance(p_x, Bernoulli):
        log_p_x: Tensor = _BinaryLogProb.apply(  # type: ignore[no-untyped-call]  # of torch
            p_x.eta, 1 - 2 * x, observed
        )
        return log_p_x
    return _sum(p_x.log_prob_per_dim(x), observed)


def log_joint(vae: VAE, x: Tensor, z: Tensor, observed: Tensor | None = None) -> Tensor:
    """Return log p(x|z) + log p(z), once differentiable in z; see `log_likelihood`."""
    log_p_x = log_likelihood_with_gradient(vae, x, z, observed)
    return log_p_x + vae.p_z.log_prob(z)


class _BinaryLogProb(torch.autograd.Function):
    """-sum_d log(1 + exp(s_d eta_d)) with s = 1 - 2 x, over the observed d, float64."""

    @staticmethod
    def forward(ctx: Any, eta: Tensor, sign: Tensor, observed: Tensor | None) -> Tensor:
        odds = torch.mul(eta, sign).clamp_(max=_LARGEST).exp_()
        if observed is not None:
            odds.masked_fill_(~observed, 0)
        factors = odds + 1
        slope = odds.div_(factors).mul_(sign)  # minus the gradient
        ctx.save_for_backward(slope)
        log_p_x = -_log_of_product(factors)
        if bool(log_p_x.isfinite().all()):
            return log_p_x
        return _sum(-softplus(eta * sign), observed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,), (gradient,) = ctx.saved_tensors, gradients
        return slope * -gradient[..., None].to(slope.dtype), None, None


def _log_of_product(factors: Tensor) -> Tensor:
    """Return the sum of the logarithms over the last dimension; changes its input."""
    for _ in range(_DOUBLINGS):
        half, rest = divmod(factors.shape[-1], 2)
        if rest:
            break
        factors = factors[..., :half] * factors[..., half:]
    return factors.log_().sum(dim=-1, dtype=torch.float64)


def _sum(per_dim: Tensor, observed: Tensor | None) -> Tensor:
    if observed is not None:
        per_dim = torch.where(observed, per_dim, 0.0)
    return per_dim.sum(dim=-1, dtype=torch.float64)
