"""Prepare data for a likelihood: binarize, compute shift and scale, check support."""

from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray

from model import binarization
from model.config import Binarization
from model.data import DataError, Dataset, Split
from model.distributions import Likelihood

Array = NDArray[np.float32]


class Affine(NamedTuple):
    """The map x = shift + scale * u between data and network units, (D,) each."""

    shift: Array
    scale: Array


@final
@dataclass(frozen=True, eq=False)
class Prepared:
    """
    Data in the form that the model gets, (N, D) each.

    Attributes:
        train: Gray values if `binarization` is dynamic; `Batches` binarizes them.
        standardization: None if the networks get the data's own units.
    """

    train: Array
    validation: Array
    test: Array
    binarization: Binarization
    standardization: Affine | None


def prepare(
    dataset: Dataset,
    *,
    likelihood: type[Likelihood],
    how: Binarization | None,
    standardize: bool,
    seed: int,
) -> Prepared:
    """
    Binarize what is binarized once, and check every value.

    Validation and test rows are binarized with `seed` as in `/elbo` with
    `binarize: "sample"`, so that `/elbo` can reproduce the figures.

    Raises:
        DataError: A value lies outside the support of the likelihood.
    """
    how = how or default_binarization(dataset, likelihood)
    if how != "none":
        for split in dataset.splits:
            _check(
                dataset, split, (split.x >= 0) & (split.x <= 1), "[0, 1] to binarize"
            )
    train, validation, test = (
        _binarize(split.x, how, seed) for split in dataset.splits
    )
    if how == "none":
        for split in dataset.splits:
            inside = likelihood.in_support(torch.from_numpy(split.x)).numpy()
            _check(
                dataset, split, inside, f"{likelihood.support} for {likelihood.kind}"
            )
    return Prepared(
        train=dataset.train.x if how == "dynamic" else train,
        validation=validation,
        test=test,
        binarization=how,
        standardization=_affine(train, len(dataset.data_shape))
        if standardize
        else None,
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


def _affine(train: Array, n_axes: int) -> Affine:
    """
    Compute shift and scale from the training rows.

    Images get one scale for all pixels; otherwise a border pixel that is rarely set
    would be scaled up to the weight of all others. Each column of a table has its own.
    """
    shift = train.mean(axis=0, dtype=np.float64)
    deviation = np.sqrt(((train - shift) ** 2).mean(axis=0))
    if n_axes > 1:
        deviation = np.full_like(deviation, np.sqrt((deviation**2).mean()))
    # A constant column has no scale; 1 keeps it in its own units.
    scale = np.where(deviation > 1e-6 * (1 + np.abs(shift)), deviation, 1.0)
    return Affine(shift.astype(np.float32), scale.astype(np.float32))


def _check(
    dataset: Dataset, split: Split, inside: NDArray[np.bool_], wanted: str
) -> None:
    if not inside.all():
        n, d = np.argwhere(~inside)[0].tolist()
        raise DataError(
            f"{dataset.locate(split, n, d)} holds {split.x[n, d]:g}; "
            f"expected a value in {wanted}"
        )
