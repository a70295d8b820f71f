"""Build the figures of a model card, each with everything needed to reproduce it."""

import math

import numpy as np
from numpy.typing import NDArray

from model.checkpoint.manifest import Figure, SplitName
from model.data_config import Binarization
from model.dataset_elbo import DatasetElbo


def figures(
    evaluation: DatasetElbo,
    *,
    split: SplitName,
    binarization: Binarization,
    n_samples: int,
    noise_seed: int,
) -> tuple[Figure, ...]:
    """Summarize an evaluation of one trained model: means over the examples."""
    means = tuple(
        mean_figure(
            name,
            values,
            split=split,
            binarization=binarization,
            n_samples=n_samples,
            noise_seed=noise_seed,
        )
        for name, values in (
            ("elbo", evaluation.bound),
            ("log_likelihood", evaluation.log_likelihood),
            ("kl", evaluation.kl),
        )
    )
    active = means[0].model_copy(
        update={
            "name": "active_units",
            "value": float(evaluation.n_active),
            "units": "dimensions",
            "n_samples": None,
            "noise_seed": None,
            "standard_error": None,
        }
    )
    return (*means, active)


def mean_figure(
    name: str,
    values: NDArray[np.float64],
    *,
    split: SplitName,
    binarization: Binarization,
    n_samples: int | None,
    noise_seed: int,
) -> Figure:
    """Return the mean over examples, (N,), in nats, with its standard error."""
    n = len(values)
    return Figure(
        name=name,
        value=float(values.mean()),
        units="nats",
        split=split,
        n_examples=n,
        binarization=binarization,
        n_samples=n_samples,
        noise_seed=noise_seed,
        n_seeds=1,
        spread=None,
        standard_error=float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
    )
