"""Paths in latent space: between two latents, and along one dimension. No decoding."""

import math

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.prior import GaussianMixture


def line(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """
    Return (1 - t) start + t end, the end points to the bit; (T, ..., J).

    Halfway between two independent draws of N(0, I) the squared norm is half of
    theirs: in many dimensions the path leaves the shell where its mass is.

    Args:
        start: Latents, (..., J).
        end: Of the same shape.
        t: Positions in [0, 1], (T,).

    Raises:
        ValueError: The shapes differ, or a position is outside [0, 1].
    """
    _check(start, end, t)
    t = _beside(t, start)
    return _ended((1 - t) * start.double() + t * end.double(), start, end, t)


def great_circle(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """
    Turn from start to end at an even rate (slerp, White 2016); (T, ..., J).

    With Omega the angle between the directions a and b, and o the part of b orthogonal
    to a, made a unit, the direction at t is cos(t Omega) a + sin(t Omega) o. The norm
    goes evenly from that of start to that of end. Where the norms are equal this is
    White's sin((1 - t) Omega) / sin(Omega) start + sin(t Omega) / sin(Omega) end; where
    they are not, that formula leaves both norms, without bound as Omega nears pi.

    Parallel latents, a zero latent, which has no direction, and J = 1 give the line.
    Opposite latents have no one great circle: it is then the one through the axis most
    nearly orthogonal to start, the first of equals. End points are exact to the bit.

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
    t_ = _beside(t, start)
    direction = torch.cos(t_ * omega) * a + torch.sin(t_ * omega) * o
    path = ((1 - t_) * norms[0] + t_ * norms[1]) * direction
    return torch.where(straight, line(start, end, t), _ended(path, start, end, t_))


def aggregate_quantiles(q_z: DiagonalGaussian, levels: Tensor) -> Tensor:
    """
    Return the quantiles of the aggregate posterior of each dimension, (J, Q).

    Of q(z_j) = mean_n N(z_j; mu_nj, sigma_nj^2), exact to rounding, by bisection.

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
    Return quantiles of each dimension at other levels than those known, (J, Q).

    Linear in the normal score Phi^-1(level) between the two levels next to each, so
    exact where q(z_j) is a Gaussian, and else between their quantiles.

    Args:
        known: Quantiles, (J, P), P >= 2.
        known_levels: Their probabilities in (0, 1), ascending, (P,).
        levels: Probabilities, (Q,).

    Raises:
        ValueError: A level is not between the first and the last that is known.
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
    Move z along one dimension through its quantiles, the others held; (Q, ..., J).

    Args:
        z: Latents, (..., J).
        dim: Which dimension, 0 to J - 1.
        quantiles: Values of every dimension, (J, Q): those of the prior,
            `Prior.quantiles`, or `aggregate_quantiles`, or any others.

    Raises:
        ValueError: No such dimension, or quantiles for another number of them.
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
    path[..., dim] = _beside(values, z[..., 0])
    return path


def _beside(t: Tensor, z: Tensor) -> Tensor:
    """Shape t, (T,), to broadcast against z, (T, 1, ...)."""
    return t.to(z.device).reshape(-1, *(1,) * z.dim())


def _ended(path: Tensor, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Put the end points in, which rounding may have moved."""
    path = torch.where(t == 0, start, path.to(start.dtype))
    return torch.where(t == 1, end, path)


def _rounding(z: Tensor) -> float:
    """Return the sine below which two directions cannot be told from one line."""
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
