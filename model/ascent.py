"""Maximise many smooth functions at once, each row at its own pace: L-BFGS."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Row numbers, (R,), and their points, (R, P), to the value of each row's own function.
Objective = Callable[[Tensor, Tensor], Tensor]

_MEMORY = 10
_MAX_HALVINGS = 25
_SUFFICIENT = 1e-4  # of the increase the slope promises (Armijo 1966)


class Maximum(NamedTuple):
    """
    Where the ascent of each row ended.

    Attributes:
        point: (N, P).
        value: The objective there, never below that of the start, (N,).
        gain: Estimate of what was left to gain, g'Hg/2, in units of the value, (N,).
        n_steps: Steps each row took, (N,).
    """

    point: Tensor
    value: Tensor
    gain: Tensor
    n_steps: Tensor


class _Pair(NamedTuple):
    """A step s, the fall y of the gradient over it, and 1 / s'y, 0 where no use."""

    s: Tensor
    y: Tensor
    rho: Tensor


class _Point(NamedTuple):
    x: Tensor
    value: Tensor
    gradient: Tensor


def maximize(
    objective: Objective, start: Tensor, *, tolerance: float, max_steps: int
) -> Maximum:
    """
    Climb from `start`, (N, P), by L-BFGS with backtracking (Nocedal & Wright 2006).

    A row stops when its estimated gain g'Hg/2 is at most `tolerance`, when no step
    along its direction is better to rounding, or after `max_steps`. A row that stopped
    is not moved again, so a row ends where it would end alone.

    Args:
        objective: Differentiable, so not to be called under `torch.inference_mode`;
            the value of a row depends on that row alone.
        tolerance: In units of the objective.
    """
    point = _evaluate(objective, start.detach())
    history: deque[_Pair] = deque(maxlen=_MEMORY)
    active = torch.ones_like(point.value, dtype=torch.bool)
    n_steps = torch.zeros_like(point.value, dtype=torch.int64)
    gain = torch.zeros_like(point.value)
    for step in range(max_steps + 1):
        direction = _direction(point.gradient, history)
        slope = (point.gradient * direction).sum(dim=-1)
        gain = torch.where(active, 0.5 * slope, gain)
        active = active & ~(gain <= tolerance)
        if step == max_steps or not active.any():
            break
        following = _search(objective, point, direction, slope, active, step)
        active = active & (following.x != point.x).any(dim=-1)
        history.append(_pair(point, following))
        n_steps += active
        point = following
    return Maximum(point.x, point.value, gain, n_steps)


def _evaluate(objective: Objective, x: Tensor) -> _Point:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        value = objective(torch.arange(len(x), device=x.device), leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return _Point(leaf.detach(), value.detach(), gradient)


def _direction(gradient: Tensor, history: deque[_Pair]) -> Tensor:
    """Return H g by the two-loop recursion (Nocedal 1980), (N, P)."""
    direction, alphas = gradient, []
    for pair in reversed(history):
        alpha = pair.rho * (pair.s * direction).sum(dim=-1)
        direction = direction - alpha[:, None] * pair.y
        alphas.append(alpha)
    if history:
        last = history[-1]
        square = last.y.square().sum(dim=-1)
        scale = torch.where(last.rho > 0, 1 / (last.rho * square), 1.0)
        direction = scale[:, None] * direction
    for pair, alpha in zip(history, reversed(alphas), strict=True):
        beta = pair.rho * (pair.y * direction).sum(dim=-1)
        direction = direction + (alpha - beta)[:, None] * pair.s
    return direction


def _pair(before: _Point, after: _Point) -> _Pair:
    s, y = after.x - before.x, before.gradient - after.gradient
    curvature = (s * y).sum(dim=-1)
    # Where the function is not concave along s, the pair would break H > 0.
    useful = curvature > 1e-12 * y.square().sum(dim=-1)
    return _Pair(s, y, torch.where(useful, 1 / curvature, 0.0))


def _search(
    objective: Objective,
    point: _Point,
    direction: Tensor,
    slope: Tensor,
    active: Tensor,
    step: int,
) -> _Point:
    """Halve each active row's step until it climbs enough; leave the others."""
    length = torch.ones_like(slope)
    if step == 0:  # nothing is known of the curvature: go no further than 1
        length = torch.clamp(1 / direction.norm(dim=-1), max=1.0)
    best, pending = point, active
    for _ in range(_MAX_HALVINGS):
        shift = torch.where(pending[:, None], length[:, None] * direction, 0.0)
        trial = _evaluate(objective, point.x + shift)
        enough = trial.value >= point.value + _SUFFICIENT * length * slope
        good = pending & enough & trial.gradient.isfinite().all(dim=-1)
        best = _Point(
            torch.where(good[:, None], trial.x, best.x),
            torch.where(good, trial.value, best.value),
            torch.where(good[:, None], trial.gradient, best.gradient),
        )
        pending = pending & ~good
        if not pending.any():
            break
        length = torch.where(pending, 0.5 * length, length)
    return best
