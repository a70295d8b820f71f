"""Prepare data for a likelihood: binarize, compute shift and scale, check support."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from model import binarization
from model.config import Binarization
from model.data import DataError, Dataset, Split
from model.distributions import Likelihood
from model.units import Units

Array = NDArray[np.float32]


@final
@dataclass(frozen=True, eq=False)
class Prepared:
    """
    Data in the model's units, (N, D) each.

    Attributes:
        train: Gray values if `binarization` is dynamic; `Batches` binarizes them.
        units: Shift and scale if training standardizes. The rows are standardized by
            them if the likelihood has no range; else the encoder does that.
    """

    train: Array
    validation: Array
    test: Array
    binarization: Binarization
    units: Units | None


def prepare(
    dataset: Dataset,
    *,
    likelihood: type[Likelihood],
    how: Binarization | None,
    standardize: bool,
    seed: int,
    units: Units | None = None,
) -> Prepared:
    """
    Binarize what is binarized once, check every value, and standardize.

    Validation and test rows are binarized with `seed` as in `/elbo` with
    `binarize: "sample"`, so that `/elbo` can reproduce the figures.

    Args:
        units: To standardize by; by default those of the training rows.

    Raises:
        DataError: A value lies outside the support of the likelihood.
    """
    how = how or default_binarization(dataset, likelihood)
    if how != "none":
        for split in dataset.splits:
            _check(
                dataset, split, (split.x >= 0) & (split.x <= 1), "[0, 1] to binarize"
            )
    if how == "none":
        for split in dataset.splits:
            inside = likelihood.in_support(torch.from_numpy(split.x)).numpy()
            _check(
                dataset, split, inside, f"{likelihood.support} for {likelihood.kind}"
            )
    if standardize:
        is_picture = len(dataset.data_shape) > 1
        units = units or Units.measured(dataset.train.x, shared=is_picture)
    inner = units if standardize and likelihood.value_range is None else None
    train, validation, test = (
        _binarize(_in_units(dataset, split, inner), how, seed)
        for split in dataset.splits
    )
    return Prepared(
        train=_in_units(dataset, dataset.train, inner) if how == "dynamic" else train,
        validation=validation,
        test=test,
        binarization=how,
        units=units if standardize else None,
    )


def default_binarization(
    dataset: Dataset, likelihood: type[Likelihood]
) -> Binarization:
    """Return dynamic for gray data under a Bernoulli likelihood, else none."""
    if likelihood.kind != "bernoulli":
        return "none"
    binary = all(((split.x == 0) | (split.x == 1)).all() for split in dataset.splits)
    return "none" if binary else "dynamic"


def _binarize(x: Array, how: Binarization, seed: int) -> Array:
    if how == "none":
        return x
    if how == "threshold":
        return binarization.threshold(x)
    return binarization.drawn(x, seed=seed)


def _in_units(dataset: Dataset, split: Split, units: Units | None) -> Array:
    """Return rows in the model's units, and check that float32 holds them."""
    if units is None:
        with np.errstate(over="ignore"):  # checked below
            x: Array = split.x.astype(np.float32, copy=False)
        wanted = "float32; to use larger values, standardize the data"
    else:
        x = units.standardized(split.x)
        wanted = "the range of the training rows"
    _check(dataset, split, np.isfinite(x), wanted)
    return x


def _check(
    dataset: Dataset, split: Split, inside: NDArray[np.bool_], wanted: str
) -> None:
    if not inside.all():
        n, d = np.argwhere(~inside)[0].tolist()
        raise DataError(
            f"{dataset.locate(split, n, d)} holds {split.x[n, d]:g}; "
            f"expected a value in {wanted}"
        )
