"""Check a saved state against the run that is to resume from it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from model.checkpoint.tensors import check_all, check_shapes, check_values
from model.train.optimizers import Adagrad, AdamW
from model.train.saved_state import Progress

# Per parameter, by kind of optimizer; a sum of squares may have grown to infinity.
_SQUARES = {AdamW: "exp_avg_sq", Adagrad: "sum"}
_OTHERS = {AdamW: ("exp_avg",), Adagrad: ()}
_STEP = "step"
_MAX_STEP = 1 << 24  # float32 cannot count further


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names have a prefix, under names without it."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def check_progress(progress: Progress, *, n_steps: int) -> None:
    """
    Check that counters agree with each other.

    Args:
        n_steps: Steps per epoch.

    Raises:
        ValueError: A counter is wrong; the message names it.
    """
    if progress.step >= n_steps:
        raise ValueError(f"step: expected less than {n_steps}, got {progress.step}")
    n_updates = progress.epoch * n_steps + progress.step
    if progress.n_updates != n_updates:
        raise ValueError(f"n_updates: expected {n_updates}, got {progress.n_updates}")
    if progress.extended_at > progress.epoch:
        raise ValueError(
            f"extended_at: got {progress.extended_at} after {progress.epoch} epochs"
        )
    best, bound = progress.best_epoch, progress.best_bound
    if (best is None) != (progress.epoch == 0) or (best or 0) > progress.epoch:
        raise ValueError(f"best_epoch: got {best} after {progress.epoch} epochs")
    if (best is None) != (bound is None):
        raise ValueError(f"best_bound: got {bound} with best_epoch {best}")


def check_tensors(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], n_done: int
) -> None:
    """
    Check weights, averages and terms.

    Args:
        n_done: Steps of the epoch whose terms are known.

    Raises:
        ValueError: A tensor is wrong; the message has its name and the expected value.
    """
    check_shapes(found, wanted)
    check_values({**found, "terms": found["terms"][:n_done]})


def check_optimizer(
    found: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, *, n_updates: int
) -> None:
    """
    Check the optimizer's step and moments, named `index.key` for each parameter.

    Raises:
        ValueError: A tensor is wrong; the message has its name and the expected value.
    """
    kind = type(optimizer)
    square, others = _SQUARES[kind], _OTHERS[kind]
    wanted: dict[str, Tensor] = {}
    # AdamW has no state before its first step.
    if n_updates or kind is Adagrad:
        parameters = [p for g in optimizer.param_groups for p in g["params"]]
        for index, parameter in enumerate(parameters):
            wanted[f"{index}.{_STEP}"] = torch.empty((), dtype=torch.float32)
            wanted |= {f"{index}.{key}": parameter for key in (square, *others)}
    named = {f"optimizer.{name}": tensor for name, tensor in found.items()}
    check_shapes(named, {f"optimizer.{name}": t for name, t in wanted.items()})
    for name, tensor in named.items():
        if name.endswith(f".{_STEP}"):
            n = min(n_updates, _MAX_STEP)
            check_all(tensor, tensor == n, f"{n}", name)
        elif name.endswith(f".{square}"):
            check_all(tensor, tensor >= 0, "values of 0 or more", name)
        else:
            check_values({name: tensor})
