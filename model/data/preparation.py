"""Prepare data for a likelihood: binarize, compute shift and scale, check support."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from model import binarization
from model.data import DataError, Dataset, Split
from model.data.blocks import first_outside, map_rows
from model.data_config import PIXELS, Binarization
from model.distributions import Likelihood
from model.raw_values import RawValues
from model.tables.marginals import CodeError, Marginals
from model.tables.schema import PLANES
from model.units import Units

Array = NDArray[np.float32]

_FARTHEST = 1e15  # in the model's units: float32 holds squares of its quotients
_PIXELS = RawValues(1.0, PIXELS, (0.0, 1.0))


@final
@dataclass(frozen=True, eq=False)
class Prepared:
    """
    Data in the model's units, (N, D) each.

    Attributes:
        train: Gray values if `binarization` is dynamic; `Batches` binarizes them.
        units: Shift and scale if training standardizes. The rows are standardized by
            them if the likelihood has no range; else the encoder does that.
        marginals: Of the columns of a table; None for other data.
    """

    train: Array
    validation: Array
    test: Array
    binarization: Binarization
    units: Units | None
    marginals: Marginals | None = None

    @property
    def n_columns(self) -> int:
        """The number of columns of a table; 0 for other data."""
        return 0 if self.marginals is None else self.train.shape[1] // PLANES


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
    for split in dataset.splits:
        if how == "none":
            wanted = f"{likelihood.support} for {likelihood.kind}"
            _check(dataset, split, split.x, partial(_is_in_support, likelihood), wanted)
        else:
            _check(dataset, split, split.x, _is_gray, "[0, 1] to binarize")
    if standardize:
        is_picture = len(dataset.data_shape) > 1
        units = units or Units.of_rows(dataset.train.x, shared=is_picture)
    inner = units if standardize and likelihood.value_range is None else None
    train, validation, test = (
        _in_units(dataset, split, inner) for split in dataset.splits
    )
    return Prepared(
        train=train if how == "dynamic" else _binarize(train, how, seed),
        validation=_binarize(validation, how, seed),
        test=_binarize(test, how, seed),
        binarization=how,
        units=units if standardize else None,
    )


def prepare_table(dataset: Dataset, marginals: Marginals) -> Prepared:
    """
    Express the codes of a table in terms of the marginals of its columns.

    Raises:
        DataError: A code is not a category of its column.
    """
    train, validation, test = (
        map_rows(
            partial(_of_cells, dataset, split, marginals),
            split.x,
            np.float32,
            width=PLANES * split.x.shape[1],
        )
        for split in dataset.splits
    )
    return Prepared(train, validation, test, "none", None, marginals)


def default_binarization(
    dataset: Dataset, likelihood: type[Likelihood]
) -> Binarization:
    """Return dynamic for gray data under a Bernoulli likelihood, else none."""
    if likelihood.kind != "bernoulli":
        return "none"
    gray = (first_outside(is_binary, split.x) for split in dataset.splits)
    return "none" if all(index is None for index in gray) else "dynamic"


def is_binary(x: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values are 0 or 1."""
    binary: NDArray[np.bool_] = (x == 0) | (x == 1)
    return binary


def _is_gray(x: NDArray[Any]) -> NDArray[np.bool_]:
    return (x >= 0) & (x <= 1)


def _is_in_support(likelihood: type[Likelihood], x: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = likelihood.in_support(torch.from_numpy(x)).numpy()
    return found


def _binarize(x: Array, how: Binarization, seed: int) -> Array:
    if how == "none":
        return x
    if how == "threshold":
        return map_rows(lambda block, _: binarization.threshold(block), x, np.float32)
    return map_rows(
        lambda block, first: binarization.sample(block, seed=seed, first=first),
        x,
        np.float32,
    )


def _of_cells(
    dataset: Dataset,
    split: Split,
    marginals: Marginals,
    codes: NDArray[Any],
    first: int,
) -> Array:
    """Return x of the codes of some rows, of which `first` is the first one."""
    try:
        return marginals.x_of(codes)
    except CodeError as error:
        n, d = error.index
        raise DataError(
            f"{dataset.locate(split, first + n, d)} holds {codes[n, d]:g}; expected"
            f" {error.wanted}"
        ) from error


def _in_units(dataset: Dataset, split: Split, units: Units | None) -> Array:
    """Return rows in the model's units, and check that float32 can compute them."""
    if units is None:
        x = split.x
        if x.dtype != np.float32:
            with np.errstate(over="ignore"):  # checked below
                x = map_rows(lambda block, _: block, x, np.float32)
        wanted = f"±{_FARTHEST:g}; to use larger values, standardize the data"
    else:
        x = map_rows(lambda block, _: units.standardize(block), split.x, np.float32)
        wanted = f"{_FARTHEST:g} standard deviations around the training rows"
    _check(dataset, split, x, _is_in_reach, wanted)
    return x


def _is_in_reach(x: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.abs(x) < _FARTHEST
    return found


def _check(
    dataset: Dataset,
    split: Split,
    x: NDArray[Any],
    is_inside: Callable[[NDArray[Any]], NDArray[np.bool_]],
    wanted: str,
) -> None:
    index = first_outside(is_inside, x)
    if index is not None:
        n, d = index
        cause = _PIXELS.likely_cause(split.x[n])
        raise DataError(
            f"{dataset.locate(split, n, d)} holds {split.x[n, d]:g}; "
            f"expected a value in {wanted}" + (f"; {cause}" if cause else "")
        )
