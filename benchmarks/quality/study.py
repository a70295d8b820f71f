"""The models that are measured, their training, and the rows they are measured on."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model import binarization, checkpoint, data
from model.checkpoint import Checkpoint
from model.checkpoint.held_out import evenly
from model.data import Dataset

DATA_SEED = 0  # of the binarization of test rows, drawn once, as in the model cards

_STATIC = ("--binarization", "static", "--epochs", "60")
_DEEP = (
    *("--hidden", "200", "200", "--latent-dim", "50", "--binarization", "dynamic"),
    # All but 1,200 of the 60,000 training images, as Burda et al. trained on all.
    *("--batch-size", "200", "--validation-fraction", "0.02"),
)


Bar = TypeVar("Bar")


class Recipe(NamedTuple):
    """
    How a model is trained on MNIST.

    Attributes:
        title: The network, as tables name it.
        options: Words of `python -m model.train`.
        begins_with: Recipe whose run of the same seed the training starts from.
    """

    title: str
    options: tuple[str, ...]
    begins_with: str | None = None


RECIPES: Mapping[str, Recipe] = {
    "aevb20": Recipe("784-500, J = 20", _STATIC),
    "aevb200": Recipe("784-500, J = 200", (*_STATIC, "--latent-dim", "200")),
    "aevb2": Recipe("784-500, J = 2", (*_STATIC, "--latent-dim", "2")),
    "vamp20": Recipe(
        "784-500, J = 20, VampPrior of 100",
        (*_STATIC, "--prior", "vamp", "--components", "100"),
    ),
    # Two falls of the learning rate; the second gains 0.7 nats.
    "deep_first": Recipe(
        "784-200-200, J = 50, half way",
        (
            *(*_DEEP, "--learning-rate", "4e-3"),
            *("--kl-warmup-epochs", "40", "--epochs", "400"),
        ),
    ),
    "deep_elbo": Recipe(
        "784-200-200, J = 50",
        (*_DEEP, "--learning-rate", "3e-3", "--epochs", "400"),
        begins_with="deep_first",
    ),
    "deep_dreg": Recipe(
        "the same, then DReG with K = 8",
        (
            *(*_DEEP, "--objective", "dreg", "--n-samples", "8"),
            *("--learning-rate", "1e-3", "--epochs", "30"),
        ),
        begins_with="deep_elbo",
    ),
}


@final
@dataclass(frozen=True)
class Study:
    """
    Where the runs are, and what is measured on them.

    Attributes:
        directory: Of the runs, RECIPE_SEED each, trained where missing.
        data_dir: Folder with MNIST's IDX files; null downloads them once.
        fashion_dir: The same for Fashion-MNIST.
        seeds: Of the training runs.
        models: Recipes that are measured, of those that a part is about.
        trains: Whether missing runs are trained; else they are left out.
        n: Rows of each part, if not as many as the part would take.
    """

    directory: Path
    data_dir: Path | None
    fashion_dir: Path | None
    seeds: tuple[int, ...]
    models: tuple[str, ...]
    trains: bool
    n: int | None

    @cached_property
    def mnist(self) -> Dataset:
        """MNIST, gray."""
        return data.load("mnist", data_dir=self.data_dir)

    @cached_property
    def test(self) -> Tensor:
        """All test rows, binarized once, (10000, 784)."""
        return binarized(self.mnist.test.x)

    def asked(self, bars: Mapping[str, Bar]) -> Iterator[tuple[str, Bar]]:
        """Yield the recipes that are to be measured, each with its bar."""
        return (
            (name, bar)
            for name, bar in bars.items()
            if name in self.models and self.of(name)
        )

    def of(self, name: str) -> tuple[int, ...]:
        """Return the seeds whose runs of a recipe are to be measured."""
        return tuple(s for s in self.seeds if self.trains or self._is_trained(name, s))

    def rows(self, default: int) -> tuple[Tensor, NDArray[np.int64]]:
        """Return test rows at even distances, and which they are."""
        index = evenly(len(self.test), self.n or default)
        return self.test[torch.from_numpy(index)], index

    def model(self, name: str, seed: int | None = None) -> Checkpoint:
        """Return the trained model of a recipe, of the first seed unless given."""
        return checkpoint.load(
            self.trained(name, self.seeds[0] if seed is None else seed)
        )

    def minutes(self, name: str, seed: int) -> float:
        """Return how long a run has been trained, what it begins with included."""
        figures = self.model(name, seed).metrics.figures
        n_held_out = next(f.n_examples for f in figures if f.split == "validation")
        n = len(self.mnist.train.x) + len(self.mnist.validation.x) - n_held_out
        lines = (self._run(name, seed) / "metrics.jsonl").read_text().splitlines()
        rates = [float(json.loads(line)["examples_per_second"]) for line in lines]
        seconds = sum(n / rate for rate in rates)
        before = RECIPES[name].begins_with
        earlier = 0.0 if before is None else self.minutes(before, seed)
        return seconds / 60 + earlier

    def trained(self, name: str, seed: int) -> Path:
        """Return the run of a recipe and a seed; train it if it is not there."""
        run = self._run(name, seed)
        if not self._is_trained(name, seed):
            if not self.trains:
                raise SystemExit(f"there is no run {run}")
            recipe = RECIPES[name]
            words = [*recipe.options, "--seed", str(seed), "--out", str(run)]
            if recipe.begins_with is not None:
                words += ["--init-from", str(self.trained(recipe.begins_with, seed))]
            if self.data_dir is not None:
                words += ["--data-dir", str(self.data_dir)]
            words += ["--threads", str(torch.get_num_threads())]
            command = ["-m", "model.train", "--data", "mnist"]
            command += ["--preset", "paper", *words]
            sys.stderr.write(f"python {shlex.join(command)}\n")
            subprocess.run([sys.executable, *command], check=True)
        return run

    def _run(self, name: str, seed: int) -> Path:
        return self.directory / f"{name}_{seed}"

    def _is_trained(self, name: str, seed: int) -> bool:
        return (self._run(name, seed) / checkpoint.MANIFEST).is_file()


def binarized(gray: NDArray[np.float32]) -> Tensor:
    """Draw x ~ Bernoulli(gray) as `/elbo` does with `binarize: "sample"`."""
    return torch.from_numpy(binarization.sample(gray, seed=DATA_SEED))


def chunks(n: int, size: int, title: str) -> Iterator[slice]:
    """Cut n rows into slices, under a progress bar."""
    with tqdm(total=n, desc=title, unit="row", disable=None) as bar:
        for start in range(0, n, size):
            stop = min(n, start + size)
            yield slice(start, stop)
            bar.update(stop - start)
