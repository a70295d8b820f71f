"""Parts `elbo` and `nll`: the bounds on test, over training runs."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality.statistics import Measured, mean, spread
from benchmarks.quality.study import DATA_SEED, RECIPES, Study, chunks
from benchmarks.results import table
from model.checkpoint import Checkpoint
from model.checkpoint.held_out import evenly
from model.checkpoint.manifest import Figure
from model.inference.bounds import importance_weighted
from model.vae import VAE

_ELBO_BARS = {"aevb20": 98.3, "aevb200": 98.6, "vamp20": None}
_NLL_BARS = {"aevb20": None, "deep_elbo": 86.35, "deep_dreg": 84.78}
_COST = "minutes of training a run"
_ROWS = 100  # at once
_N_FINE = 1000
_FEW, _MANY = (25, 2), (625, 8)  # draws in a block, blocks: K = 50 and K = 5000


def elbo(study: Study) -> str:
    """Report the test ELBO of the network of AEVB, as the model cards have it."""
    rows, found = [], list[Figure]()
    for name, bar in study.asked(_ELBO_BARS):
        found = [_figure(study.model(name, seed)) for seed in study.of(name)]
        values = [-figure.value for figure in found]
        error = max(figure.standard_error or math.nan for figure in found)
        rows.append(
            [
                RECIPES[name].title,
                ", ".join(f"{value:.3f}" for value in values),
                spread(values),
                f"{error:.2f}",
                _cost(study, name),
                _verdict(float(np.mean(values)), bar),
            ]
        )
    if not found:
        raise SystemExit("elbo: there is no run to measure")
    k, n = found[-1].n_samples, found[-1].n_examples
    return (
        f"Test -ELBO in nats, lower is better: {n:,} rows, statically binarized with "
        f"seed {DATA_SEED}, K = {k}; training seeds from {study.seeds[0]} on. A run "
        "had one core, at times beside other work.\n\n"
        + table(
            [
                *("network", "each run", "mean ± deviation of runs"),
                *("standard error over rows", _COST, "bar"),
            ],
            rows,
        )
    )


def nll(study: Study) -> str:
    """Report -log p(x) on test, by the importance-weighted bound with K = 5000."""
    rows = []
    for name, bar in study.asked(_NLL_BARS):
        found = [
            _negative_bound(study, name, study.model(name, seed).vae)
            for seed in study.of(name)
        ]
        values = [value.value for value, _ in found]
        rows.append(
            [
                RECIPES[name].title,
                ", ".join(f"{value:.3f}" for value in values),
                spread(values),
                f"{max(value.standard_error for value, _ in found):.3f}",
                f"{max(error for _, error in found):.2f}",
                _cost(study, name),
                _verdict(float(np.mean(values)), bar),
            ]
        )
    n = len(study.rows(_N_FINE)[1])
    return (
        f"Test -L_5000 in nats (Burda et al. 2016), lower is better: all "
        f"{len(study.test):,} rows, binarized once with seed {DATA_SEED}; the mean of "
        f"L_50 over all of them plus that of L_5000 - L_50 over {n:,} at even "
        "distances, whose standard error is `of choosing rows`. The J = 20 network was "
        "trained on static binarization, the others on dynamic: they do not compare. "
        f"Training seeds from {study.seeds[0]} on.\n\n"
        + table(
            [
                *("network", "each run", "mean ± deviation of runs"),
                *("of choosing rows", "standard error over rows", _COST, "bar"),
            ],
            rows,
        )
    )


def _figure(found: Checkpoint) -> Figure:
    """Return the test ELBO of a model card."""
    return next(
        figure
        for figure in found.metrics.figures
        if (figure.name, figure.split) == ("elbo", "test")
    )


def _negative_bound(study: Study, name: str, vae: VAE) -> tuple[Measured, float]:
    """
    Return -L_5000 of all rows with the error of having it of some only.

    A difference estimator: what L_50 says of all rows, corrected by what more draws
    change on a sample. Besides, the standard error over the choice of the test set.
    """
    x, n = study.test, len(study.test)
    chosen = evenly(n, study.n or _N_FINE)
    coarse = _bound(vae, x, np.arange(n), _FEW, f"{name} L_50")
    fine = _bound(vae, x, chosen, _MANY, f"{name} L_5000")
    change = mean(fine - coarse[chosen])
    missing = math.sqrt(1 - len(chosen) / n)  # none is, where all were chosen
    value = -float(coarse.mean()) - change.value
    return (
        Measured(value, change.standard_error * missing),
        mean(coarse).standard_error,
    )


def _bound(
    vae: VAE,
    x: torch.Tensor,
    index: NDArray[np.int64],
    draws: tuple[int, int],
    title: str,
) -> NDArray[np.float64]:
    """Return log 1/K sum_k w_k of the rows at `index`, K the draws of all blocks."""
    n_samples, n_blocks = draws
    parts = [
        importance_weighted(
            vae,
            x[torch.from_numpy(index[rows])],
            n_samples=n_samples,
            n_blocks=n_blocks,
            seed=0,
            first=rows.start,
        ).pooled.numpy()
        for rows in chunks(len(index), _ROWS, title)
    ]
    return np.concatenate(parts)


def _cost(study: Study, name: str) -> str:
    """Return how long runs were trained, on the mean."""
    return f"{np.mean([study.minutes(name, seed) for seed in study.of(name)]):.0f}"


def _verdict(value: float, bar: float | None) -> str:
    if bar is None:
        return ""
    return f"{bar}: {'met' if value < bar else 'MISSED'}"
