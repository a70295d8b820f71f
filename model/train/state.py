"""The state of a training run: all it takes to go on bit for bit. No pickle."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_save
from torch import Tensor

from model import atomic_files
from model.vae import VAE, empty


@final
class StateError(ValueError):
    """There is no run to go on with, or it is not the one that was meant."""


@dataclass
class Progress:
    """
    Where a run stands.

    Noise and order are functions of (seed, epoch, step), so counters are enough.

    Attributes:
        epoch: Epochs completed.
        step: Steps taken in the current epoch.
        n_updates: Steps taken in all.
    """

    epoch: int = 0
    step: int = 0
    n_updates: int = 0
    best_epoch: int | None = None
    best_bound: float | None = None


@final
class State:
    """
    Weights, optimiser, average, best weights so far and progress.

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
        self.average = copied(self.weights) if averaged else {}
        self.best: dict[str, Tensor] = {}
        self.saved_at = -math.inf

    def model(self, weights: Mapping[str, Tensor]) -> VAE:
        """Return a model to be judged, with other weights than those in training."""
        vae = empty(self.vae.config)
        vae.load_state_dict(weights, assign=True)
        return vae.requires_grad_(False).eval()

    def save(self, path: Path, *, run: dict[str, Any]) -> None:
        """Write all of it in one step; `run` says which run it is."""
        tensors = {f"weights.{k}": v for k, v in self.weights.items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, entries in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in entries.items()}
        tensors["terms"] = self.terms
        content = safetensors_save(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
            {"run": json.dumps(run), "progress": json.dumps(asdict(self.progress))},
        )
        atomic_files.replace(path, content)
        self.saved_at = time.monotonic()

    def load(self, path: Path) -> None:
        """
        Take over what `save` wrote.

        Raises:
            StateError: It is missing or damaged.
        """
        tensors, metadata = _read(path)
        self.progress = Progress(**json.loads(metadata["progress"]))
        self.vae.load_state_dict(_part(tensors, "weights."))
        device = self.terms.device
        average = _part(tensors, "average.")
        # In the order of the weights, which the file does not keep.
        self.average = {k: average[k].to(device) for k in self.average}
        self.best = {k: v.to(device) for k, v in _part(tensors, "best.").items()}
        self.terms.copy_(tensors["terms"])
        self._load_optimizer(_part(tensors, "optimizer."))
        self.saved_at = time.monotonic()

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        entries: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, key = name.split(".")
            entries.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": entries, "param_groups": groups})


def saved_run(path: Path) -> dict[str, Any]:
    """
    Return what `State.save` was told about the run.

    Raises:
        StateError: There is no saved state.
    """
    run: dict[str, Any] = json.loads(_read(path)[1]["run"])
    return run


def copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers."""
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise StateError(f"no run to go on with: there is no {path}")
    try:
        with safe_open(path, framework="pt") as file:
            # Cloned: the file is mapped into memory and will be replaced.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise StateError(f"{path} cannot be read: {error}") from error
    if not {"run", "progress"} <= metadata.keys():
        raise StateError(f"{path} is not the state of a training run")
    return tensors, metadata


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
