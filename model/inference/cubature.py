"""Noise for which the sample mean of a quadratic function is exact."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def match_moments(eps: Tensor) -> Tensor:
    """
    Return K points with exactly mean 0 and covariance I, from K / 2 points, (R, K, J).

    Each point has its mirror image, and all are whitened. All points have equal
    weights, so an objective averaged over them is a proper expectation. As an estimate
    it has a bias of order 1 / K; for a quadratic function it has none.

    Args:
        eps: Standard normal noise, (R, K / 2, J) with K / 2 >= J.
    """
    covariance = eps.transpose(1, 2) @ eps / eps.shape[1]  # (R, J, J)
    root = torch.linalg.cholesky(covariance)
    # eps root'^-1, whose covariance is root^-1 covariance root'^-1 = I
    white = torch.linalg.solve_triangular(root, eps.transpose(1, 2), upper=False)
    white = white.transpose(1, 2)
    return torch.cat([white, -white], dim=1)


class Frames(NamedTuple):
    """
    The stochastic spherical-radial rule of degree 3 (Genz & Monahan 1998).

    E[f(eps)] = E[(1 - J / rho^2) f(0) + 1 / (2 rho^2) sum_j f(+-rho u_j)] for a random
    orthogonal frame u and rho^2 ~ chi^2 with J + 2 degrees of freedom. One frame gives
    an unbiased estimate for every f, and is exact for polynomials of degree 3.

    Attributes:
        points: 0, then F frames of 2 J points each, (R, 1 + 2 F J, J).
        square_radius: rho^2 of each frame, (R, F).
    """

    points: Tensor
    square_radius: Tensor

    def expectations(self, values: Tensor) -> Tensor:
        """Return the F estimates of E[f(eps)] from f(points), (R, F)."""
        latent_dim = self.points.shape[-1]
        center, around = values[:, :1], values[:, 1:]
        by_frame = around.reshape(*self.square_radius.shape, 2 * latent_dim)
        excess: Tensor = (by_frame - center[:, :, None]).sum(dim=2)
        return center + excess / (2 * self.square_radius)


def frames(matrices: Tensor, radii: Tensor) -> Frames:
    """
    Make frames from standard normal noise.

    Args:
        matrices: (R, F, J, J); their orthogonal factors are uniform (Stewart 1980).
        radii: (R, F, J + 2).
    """
    q, r = torch.linalg.qr(matrices)
    u = (q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]).transpose(-2, -1)
    square_radius = radii.square().sum(dim=-1)
    arms = u * square_radius.sqrt()[..., None, None]  # (R, F, J, J)
    around = torch.cat([arms, -arms], dim=2).flatten(1, 2)
    center = torch.zeros_like(around[:, :1])
    return Frames(torch.cat([center, around], dim=1), square_radius)


def default_points(latent_dim: int) -> int:
    """Return an even K, large enough that `match_moments` is well conditioned."""
    return max(64, 8 * math.ceil(latent_dim / 2))
