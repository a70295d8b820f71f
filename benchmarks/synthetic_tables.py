"""
Synthetic rows of tables by `/sample`, beside those of SDV's TVAE.

    python -m benchmarks.synthetic_tables FOLDER --peers PYTHON --checkpoints MODELS

FOLDER has the CSV files of `benchmarks.mixed_tables_data`, PYTHON a Python of its own
with sdv, sdmetrics and scikit-learn; MODELS keeps models and figures. Both models learn
from 80 % of the rows, and as many rows are drawn. The quality is the overall score of
sdmetrics' QualityReport against the training rows; that of the test rows is what real
rows have; ± are standard errors over models and draws. Not drawn is the number of
categories with a share of 1 % that no row has. Utility is AUC, accuracy or R^2 on the
test rows of boosted trees that were fitted to the synthetic rows, and to the training
rows. Copies are the shares of rows, and of test rows, that equal a training row. Nearer
is the share of rows that are nearer to a training row than 95 % of the test rows are,
where 0.05 is chance. The stored figures are of sdv 2.0.0 and sdmetrics 0.32.0.
"""

import csv
import json
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.results import circumstances, table, write_section
from benchmarks.table_models import (
    Figures,
    TableModel,
    error_of_mean,
    kept,
    parser,
    table_model,
)
from model.bulk.operations import Sample
from model.engine import Engine

_SECTION = "Synthetic rows of tables"
_TARGETS = {
    "penguins": "species",
    "credit": "Status",
    "nmes": "insurance",
    "loans": "interest_rate",
    "diamonds": "price",
}
_BARS = {"credit": 0.97, "nmes": 0.97, "loans": 0.93}
_HEAD = ("data", "rows from", "draws", "quality", "±", "bar", "of test rows")
_HEAD_REST = (
    "not drawn",
    "utility",
    "±",
    "of training rows",
    "copies",
    "of test rows",
    "nearer",
)


def draw(model: TableModel, n: int, path: Path, *, seed: int) -> None:
    """Write n rows of `/sample` with `draw: "sample"`, as CSV."""
    engine = Engine.load(model.path, device="cpu", backend="torch", n_threads=1)
    draws = Sample(
        engine,
        n,
        seed=seed,
        temperature=1.0,
        draw="sample",
        complete=False,
        first=0,
    )
    pieces = draws.pieces(slice(0, n))
    codes = np.concatenate([piece.arrays["x"] for piece in pieces])
    names = model.schema.names
    cells = [model.schema.cells(name, codes[:, j]) for j, name in enumerate(names)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(zip(*cells, strict=True))


def judged(python: Path, folder: Path, rows: Path, target: str) -> Figures:
    """Return the figures of `table_quality` for rows."""
    words: list[str | Path] = ["benchmarks.peers.table_quality", folder / "train.csv"]
    found = subprocess.run(
        [python, "-m", *words, folder / "test.csv", rows, "--target", target],
        check=True,
        capture_output=True,
    )
    figures: Figures = json.loads(found.stdout)
    return figures


def of_model(model: TableModel, python: Path, number: int) -> Figures:
    """Judge one draw of rows of one of our models."""
    with tempfile.TemporaryDirectory() as name:
        folder = _split(model, Path(name))
        rows = folder / "rows.csv"
        seed = 1000 * model.seed + number
        draw(model, len(model.known_rows), rows, seed=seed)
        return judged(python, folder, rows, _TARGETS[model.csv.stem])


def of_peer(model: TableModel, python: Path, epochs: int) -> Figures:
    """Judge the rows of the TVAE, fitted to the same rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = _split(model, Path(name))
        rows = folder / "rows.csv"
        words: list[str | Path] = ["benchmarks.peers.tvae", folder / "train.csv", rows]
        options = ["--epochs", str(epochs), "--seed", str(model.seed)]
        subprocess.run([python, "-m", *words, *options], check=True)
        return judged(python, folder, rows, _TARGETS[model.csv.stem])


def _split(model: TableModel, folder: Path) -> Path:
    """Write the lines to train on, and the test lines; without columns left out."""
    parts = model.dataset
    for name, splits in (
        ("train", (parts.train, parts.validation)),
        ("test", (parts.test,)),
    ):
        lines = list(csv.DictReader(model.lines(*splits).splitlines()))
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, model.schema.names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(lines)
    return folder


def summary(name: str, maker: str, runs: Sequence[Figures]) -> list[str]:
    """Return the line of a data set and a maker of rows."""

    def mean(figure: str) -> float:
        return float(np.mean([one[figure] for one in runs]))

    return [
        name,
        maker,
        str(len(runs)),
        f"{mean('quality'):.3f}",
        error_of_mean([one["quality"] for one in runs], 3),
        f"{_BARS[name]:.2f}" if name in _BARS and maker == "/sample" else "-",
        f"{mean('quality_of_test'):.3f}",
        str(max(len(one["missed"]) for one in runs)),
        f"{mean('utility'):.3f}",
        error_of_mean([one["utility"] for one in runs], 3),
        f"{mean('utility_of_train'):.3f}",
        f"{mean('copies'):.4f}",
        f"{mean('copies_of_test'):.4f}",
        f"{mean('closer'):.3f}",
    ]


def main() -> None:
    """Measure the data sets of the command line, and print their table."""
    options = parser(__doc__, list(_TARGETS), choices=_TARGETS)
    options.add_argument("--peers", type=Path, required=True)
    options.add_argument("--draws", type=int, default=5, help="of each of our models")
    options.add_argument("--peer-seeds", type=int, default=1)
    options.add_argument("--peer-names", nargs="*", default=list(_TARGETS))
    options.add_argument("--epochs", type=int, default=300, help="of the TVAE")
    arguments = options.parse_args()
    lines, python = [], arguments.peers
    for name in arguments.names:
        models = [
            table_model(arguments.folder / f"{name}.csv", seed, arguments.checkpoints)
            for seed in range(arguments.seeds)
        ]
        ours = [
            kept(_place(model, f"sample-{i}"), partial(of_model, model, python, i))
            for model in models
            for i in range(arguments.draws)
        ]
        peers = [
            kept(
                _place(model, f"tvae-{arguments.epochs}"),
                partial(of_peer, model, python, arguments.epochs),
            )
            for model in models[: arguments.peer_seeds]
            if name in arguments.peer_names
        ]
        lines.append(summary(name, "/sample", ours))
        lines += [summary(name, "TVAE", peers)] if peers else []
    text = table([*_HEAD, *_HEAD_REST], lines)
    print(text)
    if arguments.write:
        about = circumstances(["torch", "numpy"])
        write_section(_SECTION, f"{about}\n\n{__doc__}\n\n{text}")


def _place(model: TableModel, maker: str) -> Path:
    """Return the file that keeps the figures of a maker of rows."""
    return model.path.with_name(f"{model.path.name}.{maker}.json")


if __name__ == "__main__":
    main()
