"""The state of a training run, from which it can resume bit for bit."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from model import atomic_files
from model.train import saved_state
from model.train.saved_state import Progress, SavedState, StateError
from model.train.state_checks import (
    check_optimizer,
    check_progress,
    check_tensors,
    part,
)
from model.vae import VAE, empty


@final
class State:
    """
    Weights, optimizer, average, best weights so far and progress.

    Attributes:
        weights: Views of the model's weights and buffers.
        terms: Mean log-likelihood and KL of each step of the current epoch, (steps, 2).
        average: The moving average of the weights, empty without one.
        best: The weights with the best validation bound, empty before the first epoch.
        saved_at: When it was last saved, on the monotonic clock.
    """

    def __init__(
        self,
        vae: VAE,
        optimizer: torch.optim.Optimizer,
        *,
        n_steps: int,
        averaged: bool,
    ) -> None:
        self.vae = vae
        self.optimizer = optimizer
        self.progress = Progress()
        self.weights: Mapping[str, Tensor] = vae.state_dict()
        device = next(vae.parameters()).device
        self.terms = torch.full((n_steps, 2), torch.nan, device=device)
        self.average = copy_weights(self.weights) if averaged else {}
        self.best: dict[str, Tensor] = {}
        self.saved_at = -math.inf

    def model(self, weights: Mapping[str, Tensor]) -> VAE:
        """Return a model with the given weights, for evaluation."""
        vae = empty(self.vae.config)
        vae.load_state_dict(weights, assign=True)
        return vae.requires_grad_(False).eval()

    def save(self, path: Path, *, run: Mapping[str, Any]) -> None:
        """Write the state atomically; `run` is the identity of the run."""
        tensors = {f"weights.{k}": v for k, v in self.weights.items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, entries in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in entries.items()}
        tensors["terms"] = self.terms
        content = saved_state.to_bytes(tensors, self.progress, run)
        atomic_files.replace(path, content)
        self.saved_at = time.monotonic()

    def load(self, path: Path) -> None:
        """
        Load what `save` has written.

        Raises:
            StateError: It is missing, damaged, or of another model; this state is
                unchanged.
        """
        saved = saved_state.read(path)
        try:
            self._check(saved)
        except ValueError as error:
            raise StateError(f"{path} is damaged: {error}") from error
        tensors = saved.tensors
        self.progress = saved.progress
        self.vae.load_state_dict(part(tensors, "weights."))
        device = self.terms.device
        average = part(tensors, "average.")
        # In the order of the weights; the file has another order.
        self.average = {k: average[k].to(device) for k in self.average}
        self.best = {k: v.to(device) for k, v in part(tensors, "best.").items()}
        self.terms.copy_(tensors["terms"])
        self._load_optimizer(part(tensors, "optimizer."))
        self.saved_at = time.monotonic()

    def _check(self, saved: SavedState) -> None:
        progress = saved.progress
        check_progress(progress, n_steps=len(self.terms))
        wanted = {"terms": self.terms}
        wanted |= {f"weights.{k}": v for k, v in self.weights.items()}
        wanted |= {f"average.{k}": v for k, v in self.average.items()}
        if progress.best_epoch is not None:
            wanted |= {f"best.{k}": v for k, v in self.weights.items()}
        moments = part(saved.tensors, "optimizer.")
        others = saved.tensors.keys() - {f"optimizer.{name}" for name in moments}
        check_tensors(
            {name: saved.tensors[name] for name in others}, wanted, progress.step
        )
        check_optimizer(moments, self.optimizer, n_updates=progress.n_updates)

    def _load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        entries: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, key = name.split(".")
            entries.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": entries, "param_groups": groups})


def copy_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
