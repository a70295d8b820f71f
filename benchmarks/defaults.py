"""
Compare training with default options with the models people would try first.

Twelve data sets, embedded in scikit-learn or generated, three splits each. Every model
gets the same training rows, and the same validation rows for its choices; all are
judged by log p(x) of the same test rows, in nats per row. That of the VAE is estimated
by importance sampling, row by row, with the project's own estimator.

    python -m benchmarks.defaults [NAMES ...] [--splits 3] [--write]
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.results import circumstances, table, write_section
from model import checkpoint, data
from model.checkpoint.held_out import evenly
from model.inference.evidence import log_evidence
from model.train.command import main as train

Array = NDArray[np.float64]

MAX_TEST_ROWS = 60  # per split, at even distances
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_COMPONENTS = (1, 2, 3, 5, 8, 12, 20)
_TARGET, _BUDGET = 0.02, 20_000
_JITTER = 1e-6  # of the variances, for covariances that are singular


class Case(NamedTuple):
    """A data set; `heavy` marks tails that no model here has."""

    rows: Callable[[], Array]
    heavy: bool = False


def _scikit_learn(module: str) -> Any:
    """Import a module of scikit-learn, which takes a second, when it is needed."""
    return import_module(f"sklearn.{module}")


def _embedded(name: str) -> Callable[[], Array]:
    def rows() -> Array:
        found: Array = getattr(_scikit_learn("datasets"), f"load_{name}")().data
        return found.astype(np.float64)

    return rows


def _swiss_roll() -> Array:
    datasets = _scikit_learn("datasets")
    found: Array = datasets.make_swiss_roll(1000, noise=0.3, random_state=0)[0]
    return found


def _moons() -> Array:
    datasets = _scikit_learn("datasets")
    found: Array = datasets.make_moons(1000, noise=0.08, random_state=0)[0]
    return found


def _circles() -> Array:
    datasets = _scikit_learn("datasets")
    found, _ = datasets.make_circles(1000, noise=0.06, factor=0.5, random_state=0)
    return np.asarray(found)


def _clusters() -> Array:
    draw = np.random.default_rng(0)
    centers = 4 * draw.standard_normal((5, 6))
    return centers[draw.integers(0, 5, 1000)] + draw.standard_normal((1000, 6))


def _factors() -> Array:
    draw = np.random.default_rng(0)
    loadings = draw.standard_normal((3, 12))
    noise = draw.standard_normal((500, 12)) * draw.uniform(0.3, 1.0, 12)
    return draw.standard_normal((500, 3)) @ loadings + noise


def _nonlinear() -> Array:
    draw = np.random.default_rng(0)
    z = draw.standard_normal((2000, 2))
    curved = np.tanh(z @ draw.standard_normal((2, 30))) @ draw.standard_normal((30, 15))
    return curved + 0.3 * draw.standard_normal((2000, 15))


def _heavy_tails() -> Array:
    draw = np.random.default_rng(0)
    shape = np.linalg.cholesky(0.5 * np.eye(6) + 0.5)
    normal = draw.standard_normal((1000, 6)) @ shape.T
    return normal / np.sqrt(draw.chisquare(3, (1000, 1)) / 3)


def _patches() -> Array:
    draw = np.random.default_rng(0)
    found = []
    for image in _scikit_learn("datasets").load_sample_images().images:
        gray = image.mean(axis=2)
        for _ in range(1000):
            i, j = (int(draw.integers(0, side - 8)) for side in gray.shape)
            found.append(gray[i : i + 8, j : j + 8].ravel() / 255)
    return np.array(found) + draw.normal(0, 0.01, (len(found), 64))


CASES: Mapping[str, Case] = {
    "iris": Case(_embedded("iris")),
    "wine": Case(_embedded("wine")),
    "breast cancer": Case(_embedded("breast_cancer")),
    "diabetes": Case(_embedded("diabetes")),
    "photo patches": Case(_patches),
    "two moons": Case(_moons),
    "circles": Case(_circles),
    "swiss roll": Case(_swiss_roll),
    "clusters": Case(_clusters),
    "linear factors": Case(_factors),
    "nonlinear": Case(_nonlinear),
    "heavy tails": Case(_heavy_tails, heavy=True),
}


class Scores(NamedTuple):
    """Log p(x) of each test row under each model in nats, and seconds of training."""

    independent: Array
    full: Array
    factors: Array
    mixture: Array
    ours: Array
    seconds: float


def measure(x: Array, split: int, options: Sequence[str] = ()) -> Scores:
    """Fit all models to one split of the rows, (N, D)."""
    order = np.random.default_rng(split).permutation(len(x))
    n_test = round(0.2 * len(x))
    test, rest = x[order[:n_test]], x[order[n_test:]]
    test = test[evenly(len(test), MAX_TEST_ROWS)]
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        np.savez(where / "rows.npz", x_train=rest, x_test=test)
        ours, seconds = _ours(where, test, options)
        dataset = data.load(str(where / "rows.npz"))
        fitted, held_out = rest[dataset.train.rows], rest[dataset.validation.rows]
    shift, scale = fitted.mean(axis=0), fitted.std(axis=0)
    jacobian = np.log(scale).sum()
    u, v, w = ((part - shift) / scale for part in (fitted, held_out, test))
    factor_analysis = _scikit_learn("decomposition").FactorAnalysis
    mixture = _scikit_learn("mixture").GaussianMixture
    return Scores(
        independent=_gaussian(w, np.eye(len(shift))) - jacobian,
        full=_gaussian(w, np.cov(u.T, bias=True)) - jacobian,
        factors=_best(
            (factor_analysis(k, max_iter=3000) for k in _FACTORS if k < u.shape[1]),
            *(u, v, w),
        )
        - jacobian,
        mixture=_best(
            (
                mixture(k, random_state=0, reg_covar=1e-4)
                for k in _COMPONENTS
                if k < len(u)
            ),
            *(u, v, w),
        )
        - jacobian,
        ours=ours,
        seconds=seconds,
    )


def _ours(where: Path, test: Array, options: Sequence[str]) -> tuple[Array, float]:
    """Train with default options, and return log p(x) and CPU seconds."""
    out = where / "vae"
    begin = time.process_time()
    status = train(["--data", str(where / "rows.npz"), "--out", str(out), *options])
    seconds = time.process_time() - begin
    # 3 without a dimension of z that depends on x: a density all the same.
    assert status in {0, 3}, f"training ended with status {status}"
    vae = checkpoint.load(out).vae
    found = log_evidence(
        vae,
        torch.from_numpy(vae.in_model_units(test)),
        target=_TARGET,
        budget=_BUDGET,
        seed=0,
    )
    return found.bound.value.numpy() + vae.log_jacobian, seconds


def _gaussian(x: Array, covariance: Array) -> Array:
    """Return log N(x; 0, covariance) of rows in standardized units."""
    covariance = covariance + _JITTER * np.eye(len(covariance))
    root = np.linalg.cholesky(covariance)
    distance = (np.linalg.solve(root, x.T) ** 2).sum(axis=0)
    log_det = 2 * np.log(np.diag(root)).sum()
    found: Array = -0.5 * (x.shape[1] * math.log(2 * math.pi) + log_det + distance)
    return found


def _best(models: Any, train: Array, validation: Array, test: Array) -> Array:
    """Fit all, and return the test scores of the one that validation chooses."""
    fitted = [model.fit(train) for model in models]
    best = max(fitted, key=lambda model: model.score(validation))
    found: Array = best.score_samples(test)
    return found


class Outcome(NamedTuple):
    """The row of a data set in the table, pooled over its splits."""

    name: str
    means: tuple[float, ...]
    difference: float
    error: float
    seconds: float
    n_values: int
    heavy: bool

    @property
    def is_met(self) -> bool:
        """Not worse by two standard errors, nor by 0.05 nats per value."""
        least = max(-2 * self.error, -0.05 * self.n_values)
        return (self.difference >= least or self.heavy) and self.seconds < 60

    @property
    def cells(self) -> list[str]:
        """The row as text."""
        verdict = "met" if self.is_met else "MISSED"
        return [
            self.name,
            *(f"{mean:.2f}" for mean in self.means),
            f"{self.difference:+.2f} ± {self.error:.2f}",
            f"{self.seconds:.0f} s",
            "heavy tails" if self.heavy and self.difference < 0 else verdict,
        ]


def pool(name: str, case: Case, scores: Sequence[Scores], n_values: int) -> Outcome:
    """Pool the splits; differences are paired by row."""
    columns = [np.concatenate(column) for column in list(zip(*scores, strict=True))[:5]]
    better = max(columns[1], columns[2], key=lambda values: float(values.mean()))
    difference = columns[4] - better
    return Outcome(
        name=name,
        means=tuple(float(column.mean()) for column in columns),
        difference=float(difference.mean()),
        error=float(difference.std(ddof=1)) / math.sqrt(len(difference)),
        seconds=max(one.seconds for one in scores),
        n_values=n_values,
        heavy=case.heavy,
    )


HEAD = (
    *("data", "independent", "full Gaussian", "factor analysis", "mixture", "VAE"),
    *("VAE - better of two", "longest run, CPU", "bar"),
)


def main() -> None:
    """Measure the data sets that are named, or all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(CASES))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--options", default="", help="further words for training")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    arguments = parser.parse_args()
    outcomes = []
    for name in arguments.names:
        x = CASES[name].rows()
        scores = [
            measure(x, split, arguments.options.split())
            for split in range(arguments.splits)
        ]
        outcomes.append(pool(name, CASES[name], scores, x.shape[1]))
        print(*outcomes[-1].cells, sep="  ", flush=True)
    rows = [outcome.cells for outcome in outcomes]
    print(table(HEAD, rows))
    n_better = sum(outcome.difference > 0 for outcome in outcomes)
    print(f"better on {n_better} of {len(outcomes)}")
    if arguments.write:
        packages = ("torch", "numpy", "scikit-learn")
        write_section(
            "Defaults",
            f"{circumstances(packages)}\n\n{_CAPTION}\n\n{table(HEAD, rows)}",
        )
    sys.exit(not all(outcome.is_met for outcome in outcomes))


_CAPTION = (
    "Mean log p(x) of test rows in nats, higher is better, pooled over three splits: "
    "a VAE with default options, and the models people would try first. The "
    "difference is paired by row, ± its standard error. The bar: not worse than the "
    "better of full Gaussian and factor analysis by two standard errors, nor by 0.05 "
    "nats times the number of values, and below 60 s of one core; heavy tails have no "
    "bar."
)


if __name__ == "__main__":
    main()
