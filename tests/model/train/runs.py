"""Small real training runs that a test can stop, kill and go on with at any step."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model import data
from model.config import Config
from model.data import Dataset
from model.data.preparation import Prepared, prepare
from model.likelihoods import LIKELIHOODS
from model.train import resumption
from model.train.assembly import configure, inherited_units, start
from model.train.fit import Run, fit
from model.train.options import RunOptions
from model.train.places import Places
from model.train.state import State

Line = dict[str, Any]

SMALL = (
    *("--hidden", "6", "--latent-dim", "2", "--batch-size", "16", "--threads", "1"),
    *("--preset", "paper"),
)


def write_images(path: Path, *, n: int = 48, side: int = 4) -> Path:
    """Write gray images of a bright bar in one of two directions as an .npy file."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 60, (n, side, side), dtype=np.uint8)
    for image, where, upright in zip(
        x, draw.integers(0, side, n), draw.random(n) < 0.5, strict=True
    ):
        (image.T if upright else image)[where] += 190
    np.save(path, x)
    return path


def write_table(path: Path, *, n: int, scale: float = 1.0, seed: int = 0) -> Path:
    """Write rows x = W z + noise of a linear Gaussian model as an .npy file."""
    draw = np.random.default_rng(seed)
    noise = 0.5 * draw.standard_normal((n, len(LOADINGS)))
    x = draw.standard_normal((n, 2)) @ LOADINGS.T + noise
    np.save(path, scale * x)
    return path


LOADINGS = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 1.5], [-1.0, 0.5]])  # W, (D, J)


@contextmanager
def one_thread() -> Iterator[None]:
    """Train on one thread: matrices this small only wait for a second one."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@dataclass
class Killed(BaseException):
    """What a test raises inside a step, as SIGKILL would strike: nothing is saved."""


@dataclass
class Trainer:
    """
    One data set and one set of options, to be started as often as a test likes.

    Attributes:
        options: With a path of its own in `out`.
        lines: The journal's lines so far, of all sittings.
    """

    options: RunOptions
    lines: list[Line] = field(default_factory=list)
    after_step: Callable[[State], object] = lambda state: None
    after_epoch: Callable[[State], object] = lambda state: None

    @cached_property
    def dataset(self) -> Dataset:
        """Read the data."""
        return data.load(
            self.options.data, seed=self.options.seed, reading=self.options.reading
        )

    @cached_property
    def prepared(self) -> Prepared:
        """Prepare the data as the command does."""
        return prepare(
            self.dataset,
            likelihood=LIKELIHOODS[self.options.likelihood],
            how=self.options.binarization,
            standardize=self.options.likelihood == "gaussian",
            units=inherited_units(self.options, self.places),
            seed=self.options.test_seed,
        )

    @property
    def config(self) -> Config:
        """The model that is trained."""
        return configure(self.options, self.dataset, self.prepared)

    @property
    def places(self) -> Places:
        """Where the run keeps its files."""
        return Places.of(self.options)

    def begin(self) -> State:
        """Return the state before the first step of a new run."""
        self.places.clear()
        return self._start()

    def go_on(self) -> State:
        """Return the state that is on disk."""
        state = self._start()
        resumption.resume(state, self.places, self._identity)
        self.lines = self.places.journal_lines()
        return state

    def on_disk(self) -> State:
        """Return the state that is on disk, and touch nothing."""
        state = self._start()
        state.load(self.places.state)
        return state

    def fit(self, state: State, *, n_steps: int | None = None) -> State:
        """Train to the end, or as if Ctrl-C came during step `n_steps` from here."""
        done = 0

        def on_step() -> None:
            nonlocal done
            done += 1
            self.after_step(state)

        def on_epoch(line: Line) -> None:
            self.places.record(line)
            self.lines.append(line)
            self.after_epoch(state)

        run = Run(
            places=self.places,
            identity=self._identity,
            stopped=lambda: n_steps is not None and done >= n_steps,
            on_step=on_step,
            on_epoch=on_epoch,
        )
        fit(state, self.prepared, self.options, run)
        return state

    @property
    def _identity(self) -> dict[str, Any]:
        return resumption.identity(self.options, self.dataset, ["the", "command"])

    def _start(self) -> State:
        return start(self.config, self.options, self.prepared, torch.device("cpu"))


def tensors(state: State) -> dict[str, Tensor]:
    """Return every tensor a run has: weights, average, best, optimizer."""
    found = {f"weights.{k}": v for k, v in state.weights.items()}
    found |= {f"average.{k}": v for k, v in state.average.items()}
    found |= {f"best.{k}": v for k, v in state.best.items()}
    for index, entries in state.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{k}": v for k, v in entries.items()}
    return found


def assert_same(state: State, wanted: State) -> None:
    """Compare two runs bit for bit."""
    ours, theirs = tensors(state), tensors(wanted)

    assert state.progress == wanted.progress
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def without_speed(lines: list[Line]) -> list[Line]:
    """Return journal lines without the one entry that is the clock's."""
    return [
        {k: v for k, v in line.items() if k != "examples_per_second"} for line in lines
    ]


def read_journal(path: Path) -> list[Line]:
    """Read a `metrics.jsonl`."""
    return [json.loads(line) for line in path.read_text().splitlines()]
