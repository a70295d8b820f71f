"""Choose the likelihood by the values of the data, and say why."""

from typing import NamedTuple

import numpy as np

from model.config import LikelihoodName
from model.data import Dataset
from model.data.blocks import blocks, first_outside
from model.data.preparation import is_binary
from model.train.options import TrainOptions

_NEAR = 0.1  # of black or white
_MOSTLY = 0.6  # the share of extreme values from which gray images are binarized


class ChosenLikelihood(NamedTuple):
    """A likelihood, and the reason in words."""

    name: LikelihoodName
    reason: str


def choose_likelihood(dataset: Dataset, options: TrainOptions) -> ChosenLikelihood:
    """
    Choose p(x|z): Bernoulli for two values, for reals a Gaussian.

    Gray images whose values are mostly near black or white are binarized as in the
    literature on MNIST; other images are Gaussian. A table is binarized only
    if an option asks for it.
    """
    if dataset.table is not None:
        return ChosenLikelihood(
            "table", "columns of mixed kinds, or with missing cells"
        )
    x = [split.x for split in dataset.splits]
    if all(first_outside(is_binary, part) is None for part in x):
        return ChosenLikelihood("bernoulli", "all values are 0 or 1")
    inside = all(part.min() >= 0 and part.max() <= 1 for part in x)
    if options.binarization not in (None, "none"):
        return ChosenLikelihood("bernoulli", f"--binarization {options.binarization}")
    if not inside:
        return ChosenLikelihood("gaussian", "the values are real numbers")
    if len(dataset.data_shape) == 1:
        return ChosenLikelihood(
            "gaussian",
            "a table of values in [0, 1]; with --likelihood bernoulli they would be "
            "probabilities of drawing 1",
        )
    if len(dataset.data_shape) == 3 and dataset.data_shape[2] > 1:
        return ChosenLikelihood("gaussian", "color images")
    share = _extreme(dataset)
    if share >= _MOSTLY:
        return ChosenLikelihood(
            "bernoulli",
            f"gray images, {share:.0%} of whose values are near black or white; values "
            "between are drawn as 0 or 1 at every use",
        )
    return ChosenLikelihood(
        "gaussian",
        f"gray images, only {share:.0%} of whose values are near black or white",
    )


def _extreme(dataset: Dataset) -> float:
    """Return the share of training values within 0.1 of 0 or 1."""
    x = dataset.train.x
    n_near = sum(
        np.count_nonzero((x[rows] < _NEAR) | (x[rows] > 1 - _NEAR))
        for rows in blocks(x)
    )
    return n_near / x.size
