"""The Laplace approximation: a Gaussian of full covariance at the posterior's mode."""

from typing import NamedTuple

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.lbfgs import Optimum, maximize
from model.inference.proposals import FullGaussian, encoded, rows_at_once
from model.vae import VAE

# The standard deviation in any direction is at most 10 times the prior's largest.
_MIN_PRECISION = 0.01
_CONVERGED = 1e-4
_MAX_STEPS, _TOLERANCE = 200, 1e-12


class Laplace(NamedTuple):
    """
    N(z; mode, H^-1) with H the negative Hessian of log p(x, z) at the mode.

    Attributes:
        q_z: The Gaussian, float64.
        log_joint: log p(x, z) at the mode, in nats, (N,).
        log_p_x: Laplace's approximation of log p(x), neither a bound nor an estimate:
            log_joint + J/2 log 2 pi - 1/2 log det H (MacKay 2003, Ch. 27), (N,).
        is_mode: Whether the search converged and H is positive definite there, (N,). If
            not, precisions below 0.01 of the prior's are replaced by 0.01 of it.
    """

    q_z: FullGaussian
    log_joint: Tensor
    log_p_x: Tensor
    is_mode: Tensor


def laplace(
    vae: VAE,
    x: Tensor,
    *,
    start: DiagonalGaussian | None = None,
    max_steps: int = _MAX_STEPS,
    tolerance: float = _TOLERANCE,
) -> Laplace:
    """
    Find a mode of p(z|x) by L-BFGS and the Hessian there by automatic differentiation.

    `elbo_replicates` and `importance_weighted` give the ELBO and L_K of its `q_z`. The
    mode is the one that L-BFGS reaches from the start.

    Args:
        x: Data in the likelihood's support, (N, D).
        start: In float64; the encoder's q(z|x) unless given. Its sigma sets the scale
            of the first steps.
        tolerance: In nats.
    """
    q_z = encoded(vae, x) if start is None else start
    best = modes(vae, x, q_z, max_steps=max_steps, tolerance=tolerance)
    mode = q_z.reparameterize(best.point)
    values, vectors = torch.linalg.eigh(_precision(vae, x, mode))
    least = _MIN_PRECISION * torch.exp(-vae.p_z.moments(x.device).log_var.max())
    safe = torch.maximum(values, least)  # (N, J)
    # V diag(1 / sqrt(safe)) is a root of the covariance; QR makes it triangular.
    root = vectors / safe.sqrt()[:, None, :]
    r = torch.linalg.qr(root.transpose(1, 2)).R
    scale_tril = (r * r.diagonal(dim1=1, dim2=2).sign()[..., None]).transpose(1, 2)
    q_laplace = FullGaussian(mode, scale_tril)
    # log N(mode; mode, H^-1) = 1/2 log det H - J/2 log 2 pi
    return Laplace(
        q_z=q_laplace,
        log_joint=best.value,
        log_p_x=best.value - q_laplace.log_prob(mode),
        is_mode=(best.gain < _CONVERGED) & (values[:, 0] > least),
    )


def modes(
    vae: VAE,
    x: Tensor,
    q_z: DiagonalGaussian,
    *,
    max_steps: int = _MAX_STEPS,
    tolerance: float = _TOLERANCE,
) -> Optimum:
    """
    Maximize log p(x, z) from q's mean, in units of q's standard deviations.

    The modes are `q_z.reparameterize(...)` of the points that are found.
    """

    def log_joint(index: Tensor, eps: Tensor) -> Tensor:
        return vae.log_joint(x[index], q_z.rows(index).reparameterize(eps))

    start = torch.zeros_like(q_z.mu)
    return maximize(log_joint, start, tolerance=tolerance, max_steps=max_steps)


def _precision(vae: VAE, x: Tensor, mode: Tensor) -> Tensor:
    """Return the negative Hessian of log p(x, z) in z, (N, J, J)."""
    rows = rows_at_once(vae, 4 * vae.config.latent_dim)
    pairs = zip(torch.split(x, rows), torch.split(mode, rows), strict=True)
    precision = -torch.cat([_hessian(vae, *pair) for pair in pairs]).double()
    return 0.5 * (precision + precision.transpose(1, 2))


@torch.enable_grad()
def _hessian(vae: VAE, x: Tensor, z: Tensor) -> Tensor:
    """
    Return the Hessian of log p(x, z) in z, (N, J, J), by reverse mode twice.

    Not by `torch.func`, which imports the compiler of torch: more than a second.
    """
    z = z.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(vae.log_joint(x, z).sum(), z, create_graph=True)
    # For all rows at once: the gradient of a row depends on that row alone.
    rows = [
        torch.autograd.grad(one.sum(), z, retain_graph=True)[0]
        for one in gradient.unbind(dim=1)
    ]
    return torch.stack(rows, dim=1)
