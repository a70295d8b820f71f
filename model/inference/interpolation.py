"""Paths in latent space: between two latents, and along one dimension."""

import math

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.prior import GaussianMixture


def line(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """
    Return (1 - t) start + t end, (T, ..., J), with end points exact to the bit.

    Halfway between two independent draws from N(0, I) the squared norm is half of
    theirs, so in many dimensions the path leaves the shell that has most of the mass.

    Args:
        start: Latents, (..., J).
        end: Of the same shape.
        t: Positions in [0, 1], (T,).

    Raises:
        ValueError: The shapes differ, or a position is outside [0, 1].
    """
    _check(start, end, t)
    t = _align(t, start)
    return _with_ends((1 - t) * start.double() + t * end.double(), start, end, t)


def great_circle(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """
    Rotate from start to end at a constant rate (slerp, White 2016); (T, ..., J).

    Let a and b be the directions, Omega the angle between them, and o the unit vector
    along the part of b that is orthogonal to a. The direction at t is
    cos(t Omega) a + sin(t Omega) o. The norm changes linearly from that of start to
    that of end. For equal norms this is White's
    sin((1 - t) Omega) / sin(Omega) start + sin(t Omega) / sin(Omega) end; for different
    norms that formula exceeds both, without bound as Omega approaches pi.

    Parallel latents, a zero latent, which has no direction, and J = 1 give the line.
    Opposite latents have many great circles: the one used goes through the axis most
    nearly orthogonal to start, the first of several. End points are exact to the bit.

    Args, Raises: As for `line`.
    """
    _check(start, end, t)
    if start.shape[-1] == 1:
        return line(start, end, t)
    norms = [z.double().norm(dim=-1, keepdim=True) for z in (start, end)]
    straight = (norms[0] == 0) | (norms[1] == 0)
    a, b = (
        z.double() / torch.where(norm == 0, 1.0, norm)
        for z, norm in zip((start, end), norms, strict=True)
    )
    cosine = (a * b).sum(dim=-1, keepdim=True)
    o = b - cosine * a
    sine = o.norm(dim=-1, keepdim=True)
    aligned = sine <= _rounding(start)
    o = torch.where(aligned, _orthogonal(a), o / torch.where(aligned, 1.0, sine))
    omega = torch.atan2(torch.where(aligned, 0.0, sine), cosine)
    t_ = _align(t, start)
    direction = torch.cos(t_ * omega) * a + torch.sin(t_ * omega) * o
    path = ((1 - t_) * norms[0] + t_ * norms[1]) * direction
    return torch.where(straight, line(start, end, t), _with_ends(path, start, end, t_))


def aggregate_quantiles(q_z: DiagonalGaussian, levels: Tensor) -> Tensor:
    """
    Return the quantiles of the aggregate posterior of each dimension, (J, Q).

    The aggregate posterior is q(z_j) = mean_n N(z_j; mu_nj, sigma_nj^2). Its quantiles
    are found by bisection, exact to rounding.

    Args:
        q_z: q(z|x) of N examples, (N, J).
        levels: Probabilities in (0, 1), (Q,).

    Raises:
        ValueError: A level is not inside (0, 1).
    """
    equal = torch.zeros_like(q_z.mu[:, 0]).double() - math.log(len(q_z.mu))
    return GaussianMixture(equal, q_z.mu, q_z.log_var).quantiles(levels)


def between_quantiles(known: Tensor, known_levels: Tensor, levels: Tensor) -> Tensor:
    """
    Interpolate quantiles of each dimension to other levels, (J, Q).

    Interpolation between the two nearest known levels is linear in the normal score
    Phi^-1(level), so it is exact if q(z_j) is a Gaussian.

    Args:
        known: Quantiles, (J, P), P >= 2.
        known_levels: Their probabilities in (0, 1), ascending, (P,).
        levels: Probabilities, (Q,).

    Raises:
        ValueError: A level is not between the first and the last known level.
    """
    outside = ~((levels >= known_levels[0]) & (levels <= known_levels[-1]))
    if outside.any():
        raise ValueError(
            f"expected levels in [{known_levels[0].item():.3g}, "
            f"{known_levels[-1].item():.9g}], got {levels[outside][0].item():.9g}"
        )
    scores, known_scores = (
        torch.special.ndtri(levels),
        torch.special.ndtri(known_levels),
    )
    right = torch.searchsorted(known_levels, levels).clamp(1, len(known_levels) - 1)
    left = right - 1
    t = (scores - known_scores[left]) / (known_scores[right] - known_scores[left])
    quantiles: Tensor = torch.lerp(known[:, left], known[:, right], t)
    return quantiles


def traverse(z: Tensor, dim: int, quantiles: Tensor) -> Tensor:
    """
    Set one dimension of z to each of its quantiles, others unchanged; (Q, ..., J).

    Args:
        z: Latents, (..., J).
        dim: The dimension to change, 0 to J - 1.
        quantiles: Values of every dimension, (J, Q): `Prior.quantiles`,
            `aggregate_quantiles`, or any others.

    Raises:
        ValueError: The dimension does not exist, or `quantiles` is not (J, Q).
    """
    n_dims = z.shape[-1]
    if quantiles.dim() != 2 or len(quantiles) != n_dims:
        raise ValueError(
            f"expected quantiles [{n_dims}, Q], got {list(quantiles.shape)}"
        )
    if not 0 <= dim < n_dims:
        raise ValueError(f"expected a dimension from 0 to {n_dims - 1}, got {dim}")
    values = quantiles[dim].to(z)
    path = z.expand(len(values), *z.shape).clone()
    path[..., dim] = _align(values, z[..., 0])
    return path


def _align(t: Tensor, z: Tensor) -> Tensor:
    """Reshape t, (T,), to (T, 1, ...), so that it broadcasts against z."""
    return t.to(z.device).reshape(-1, *(1,) * z.dim())


def _with_ends(path: Tensor, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Replace the ends of a path, which may be rounded, by the exact end points."""
    path = torch.where(t == 0, start, path.to(start.dtype))
    return torch.where(t == 1, end, path)


def _rounding(z: Tensor) -> float:
    """Return the sine below which rounding hides the angle of two directions."""
    return 4 * torch.finfo(z.dtype).eps


def _orthogonal(a: Tensor) -> Tensor:
    """Return unit vectors orthogonal to the unit vectors a, (..., J), J > 1."""
    axis = torch.zeros_like(a).scatter(-1, a.abs().argmin(dim=-1, keepdim=True), 1.0)
    o = axis - (axis * a).sum(dim=-1, keepdim=True) * a
    return torch.nn.functional.normalize(o, dim=-1)


def _check(start: Tensor, end: Tensor, t: Tensor) -> None:
    if start.shape != end.shape:
        raise ValueError(
            f"expected two latents of one shape, got {list(start.shape)} "
            f"and {list(end.shape)}"
        )
    outside = ~((t >= 0) & (t <= 1))
    if outside.any():
        raise ValueError(f"expected t in [0, 1], got {t[outside][0].item()}")
