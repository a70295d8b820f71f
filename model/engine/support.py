"""Bring x into the support of the likelihood: binarize it if asked to, and check."""

from typing import final

import numpy as np

from model import binarization
from model.engine.arrays import Array
from model.engine.engine import Engine
from model.option_values import Binarize


@final
class OutsideSupportError(ValueError):
    """A value is outside the likelihood's support; `index` is its (row, d)."""

    def __init__(self, index: tuple[int, int], value: float, support: str) -> None:
        super().__init__(f"expected a value in {support}, got {value:g}")
        self.index = index
        self.value = value
        self.support = support


def to_support(
    engine: Engine, x: Array, *, seed: int, binarize: Binarize | None, first: int = 0
) -> Array:
    """
    Binarize x, (N, D), if requested, and check that it is in the support.

    Args:
        x: In the model's units.
        first: Position of the first row in its data.

    Raises:
        OutsideSupportError: A value of x is not in the likelihood's support, or, with
            `binarize`, not in [0, 1].
    """
    if binarize is not None:
        _check_none((x < 0) | (x > 1), x, "[0, 1] before it is binarized")
    if binarize == "threshold":
        x = binarization.threshold(x)
    elif binarize == "sample":
        x = binarization.sample(x, seed=seed, first=first)
    family = engine.checkpoint.vae.likelihood
    _check_none(~engine.in_support(x), x, family.support)
    return x


def _check_none(outside: np.ndarray, x: Array, support: str) -> None:
    if outside.any():
        row, d = np.argwhere(outside)[0].tolist()
        raise OutsideSupportError((row, d), float(x[row, d]), support)
