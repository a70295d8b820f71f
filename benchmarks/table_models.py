"""Models of CSV files for the benchmarks of tables: trained once, then read again."""

import argparse
import json
import math
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import checkpoint, data
from model.checkpoint.held_out import evenly
from model.data import Dataset, Split
from model.tables.marginals import Marginals
from model.tables.schema import TableSchema
from model.train import command as training
from model.vae import VAE

TEST_FRACTION = 0.2  # the same rows for every seed
Codes = NDArray[np.float64]
Figures = dict[str, Any]


def parser(
    description: str | None, names: Sequence[str], *, choices: Collection[str]
) -> argparse.ArgumentParser:
    """Return a parser of the arguments that these benchmarks have in common."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("folder", type=Path)
    found.add_argument("--checkpoints", type=Path, required=True)
    found.add_argument("--names", nargs="+", choices=choices, default=list(names))
    found.add_argument("--seeds", type=int, default=3)
    found.add_argument("--write", action="store_true", help="write RESULTS.md")
    return found


@dataclass(frozen=True, eq=False)
class TableModel:
    """A trained model and the rows of its CSV."""

    csv: Path
    seed: int
    path: Path
    vae: VAE

    @cached_property
    def schema(self) -> TableSchema:
        """The columns."""
        table = self.vae.config.table
        assert table is not None
        return table

    @property
    def marginals(self) -> Marginals:
        """The marginals of the columns."""
        assert self.vae.marginals is not None
        return self.vae.marginals

    @cached_property
    def dataset(self) -> Dataset:
        """The rows as codes."""
        return data.load(
            str(self.csv),
            test_fraction=TEST_FRACTION,
            seed=self.seed,
            read_file=partial(data.read_table, model=self.vae.config),
        )

    @property
    def known_rows(self) -> Codes:
        """The codes of all rows but the test rows, (N, C)."""
        parts = (self.dataset.train, self.dataset.validation)
        return np.concatenate([part.x for part in parts])

    @cached_property
    def seconds(self) -> float:
        """The time of the steps of training."""
        journal = (self.path / "metrics.jsonl").read_text().splitlines()
        rates = [float(json.loads(line)["examples_per_second"]) for line in journal]
        return len(self.dataset.train.x) * sum(1 / rate for rate in rates)

    def lines(self, *parts: Split) -> str:
        """Return the header and the lines of some rows of the CSV, unchanged."""
        text = self.csv.read_text().splitlines(keepends=True)
        numbers = np.concatenate([part.rows for part in parts])
        return text[0] + "".join(text[number - 1] for number in numbers)


def table_model(csv: Path, seed: int, folder: Path) -> TableModel:
    """Return the model of a CSV in a folder of checkpoints, and train it if needed."""
    path = folder / f"{csv.stem}-{seed}"
    if not path.exists():
        making = folder / f".{path.name}-{os.getpid()}"
        arguments = ("--data", str(csv), "--out", str(making), "--seed", str(seed))
        status = training.main([*arguments, "--test-fraction", str(TEST_FRACTION)])
        if status != 0:
            raise RuntimeError(f"{csv}: training ended with status {status}")
        making.rename(path)
    return TableModel(csv, seed, path, checkpoint.load(path).vae)


def kept(path: Path, measure: Callable[[], Figures]) -> Figures:
    """Return the figures of a JSON file; measure and write them if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measure()))
    figures: Figures = json.loads(path.read_text())
    return figures


def some(rows: Codes, n: int) -> Codes:
    """Return at most n rows, from all of the file: it may be sorted."""
    found: Codes = rows[evenly(len(rows), n)]
    return found


def error_of_mean(values: Sequence[float], n_digits: int) -> str:
    """Return the standard error of the mean over seeds, "-" for one seed."""
    if len(values) < 2:
        return "-"
    return f"{np.std(values, ddof=1) / math.sqrt(len(values)):.{n_digits}f}"
