"""
Maximize many independent functions at once, each with its own optimizer state.

It needs gradients, so callers must not run under `torch.inference_mode`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], Tensor]

_MEMORY = 8
_ARMIJO = 1e-4
_MAX_HALVINGS = 10  # a shorter step gains less than float32 can resolve
# A step of length 1 is one standard deviation, or a factor e^1 of a variance.
_MAX_FIRST_STEP = 1.0


class Optimum(NamedTuple):
    """
    The best points found.

    Attributes:
        point: (R, P).
        value: (R,).
        gain: The further gain that a quadratic model predicts at that point, (R,).
        n_steps: Steps taken, (R,).
    """

    point: Tensor
    value: Tensor
    gain: Tensor
    n_steps: Tensor


@final
@dataclass(eq=False)
class _State:
    """Rows that are still optimized: index, point, value, gradient and history."""

    index: Tensor  # (R,)
    point: Tensor  # (R, P)
    value: Tensor  # (R,)
    gradient: Tensor  # (R, P)
    steps: Tensor  # (M, R, P)
    bends: Tensor  # (M, R, P), minus the changes of gradient

    def rows(self, kept: Tensor) -> "_State":
        return _State(
            self.index[kept],
            self.point[kept],
            self.value[kept],
            self.gradient[kept],
            self.steps[:, kept],
            self.bends[:, kept],
        )


def maximize(
    objective: Objective, start: Tensor, *, tolerance: float, max_steps: int
) -> Optimum:
    """
    Maximize from each row of start by L-BFGS (Nocedal & Wright 2006, Alg. 7.4).

    Rows are independent: each has its own curvature, its own step length (halved until
    Armijo's condition holds) and its own end. A row ends when the quadratic model
    predicts a gain below the tolerance, or when rounding allows no further increase. It
    is then no longer evaluated.

    Args:
        objective: Takes row numbers, (R',), and their points, (R', P); returns values,
            (R',), differentiable in the points.
        start: In coordinates where the curvature is about 1, (R, P).
        tolerance: In the units of the objective.
    """
    index = torch.arange(len(start), device=start.device)
    value, gradient = _evaluate(objective, index, start)
    empty = start.new_zeros(0, *start.shape)
    state = _State(index, start.detach(), value, gradient, empty, empty)
    best = Optimum(
        start.detach().clone(), value.clone(), value.clone(), torch.zeros_like(index)
    )
    for step in range(max_steps + 1):
        direction = _direction(state)
        predicted = 0.5 * (state.gradient * direction).sum(dim=1)
        best.point[state.index] = state.point
        best.value[state.index] = state.value
        best.gain[state.index] = predicted
        best.n_steps[state.index] = step
        going = predicted > tolerance
        if step == max_steps or not going.any():
            break
        moved, climbed = _climb(objective, state.rows(going), direction[going])
        if not climbed.any():
            break
        state = moved.rows(climbed)
    return best


def _evaluate(
    objective: Objective, index: Tensor, point: Tensor
) -> tuple[Tensor, Tensor]:
    """Return values and gradients; a value that is not finite is minus infinity."""
    with torch.enable_grad():
        leaf = point.detach().requires_grad_()
        values = objective(index, leaf)
        # Rows are independent: the gradient of their sum has the gradient of each.
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach().nan_to_num(-torch.inf, -torch.inf, -torch.inf), gradient


def _direction(state: _State) -> Tensor:
    """Apply the L-BFGS inverse Hessian to the gradient (two-loop recursion), (R, P)."""
    direction = state.gradient
    curvature = (state.steps * state.bends).sum(dim=2)  # (M, R)
    is_bent = curvature > 0
    rho = torch.where(is_bent, 1 / curvature, 0.0)
    shares = []
    for m in reversed(range(len(rho))):
        share = rho[m] * (state.steps[m] * direction).sum(dim=1)
        direction = direction - share[:, None] * state.bends[m]
        shares.append(share)
    if len(rho):
        scale = curvature[-1] / state.bends[-1].square().sum(dim=1)
        direction = direction * torch.where(is_bent[-1], scale, 1.0)[:, None]
    for m, share in enumerate(reversed(shares)):
        back = rho[m] * (state.bends[m] * direction).sum(dim=1)
        direction = direction + (share - back)[:, None] * state.steps[m]
    return direction


def _climb(
    objective: Objective, state: _State, direction: Tensor
) -> tuple[_State, Tensor]:
    """Do a line search for every row; return the new state and which rows rose."""
    slope = (state.gradient * direction).sum(dim=1)
    if len(state.steps):
        length = torch.ones_like(slope)
    else:
        length = (_MAX_FIRST_STEP / direction.norm(dim=1)).clamp(max=1.0)
    point, value = state.point.clone(), state.value.clone()
    gradient = state.gradient.clone()
    trying = torch.arange(len(slope), device=slope.device)
    for _ in range(_MAX_HALVINGS):
        there = state.point[trying] + length[trying, None] * direction[trying]
        new, new_gradient = _evaluate(objective, state.index[trying], there)
        # Strictly more, so that a row ends when only rounding changes its value.
        enough = (new > state.value[trying]) & (
            new >= state.value[trying] + _ARMIJO * length[trying] * slope[trying]
        )
        accepted = trying[enough]
        point[accepted], value[accepted] = there[enough], new[enough]
        gradient[accepted] = new_gradient[enough]
        trying = trying[~enough]
        if len(trying) == 0:
            break
        length[trying] *= 0.5
    steps = torch.cat([state.steps, (point - state.point)[None]])[-_MEMORY:]
    bends = torch.cat([state.bends, (state.gradient - gradient)[None]])[-_MEMORY:]
    return _State(state.index, point, value, gradient, steps, bends), value > (
        state.value
    )
