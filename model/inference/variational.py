"""
Variational inference without amortization: fit q to each row separately.

The local parameters mu and log_var of a diagonal Gaussian maximize the ELBO of one
example; an encoder would predict them from x.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.cubature import default_points, moment_matched
from model.inference.lbfgs import maximize
from model.noise import Stream, standard_normal

# Row numbers, (R,), and draws of z for them, (K, R, J), to log p(x, z), (K, R).
LogJoint = Callable[[Tensor, Tensor], Tensor]


def fit(
    log_joint: LogJoint,
    start: DiagonalGaussian,
    *,
    eps: Tensor,
    tolerance: float,
    max_steps: int,
) -> DiagonalGaussian:
    """
    Maximize the ELBO of each row over its own mu and log_var, with fixed noise.

    E_q[log p(x, z)] is the mean over `eps`, (K, 1, J). With noise of mean 0 and
    covariance I it is exact if log p(x, z) is quadratic in z. The entropy of q is
    exact. The result is in float64, (N, J).
    """

    def bound(rows: Tensor, parameters: Tensor) -> Tensor:
        q_z = DiagonalGaussian(*parameters.chunk(2, dim=-1))
        entropy = 0.5 * (1 + math.log(2 * math.pi) + q_z.log_var).sum(dim=-1)
        return log_joint(rows, q_z.reparameterize(eps)).mean(dim=0) + entropy

    parameters = torch.cat([start.mu, start.log_var], dim=-1).double()
    found = maximize(bound, parameters, tolerance=tolerance, max_steps=max_steps)
    return DiagonalGaussian(*found.point.chunk(2, dim=-1))


def balanced_noise(latent_dim: int, *, seed: int) -> Tensor:
    """Return noise of mean 0 and covariance I exactly, of K = 64 or 4J, (K, 1, J)."""
    shape = (1, default_points(latent_dim) // 2, latent_dim)
    eps = torch.from_numpy(standard_normal(shape, seed=seed, stream=Stream.OBSERVED))
    return moment_matched(eps.double()).transpose(0, 1)
