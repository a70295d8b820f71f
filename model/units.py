"""
The data's own units, and the standardized units in which a model computes.

Both ways are computed in float64, outside the networks: data that differ in the unit or
in the zero of a column only are the same data to the model.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.exact_buffers import ExactBuffers

Single = NDArray[np.float32]
Double = NDArray[np.float64]

# Values whose spread is at most a few roundings of float64 are constant.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
_BLOCK_VALUES = 1 << 16


@final
@dataclass(frozen=True, eq=False)
class Units:
    """
    The map x = shift + scale * u between data units, x, and standardized units, u.

    Attributes:
        shift: (D,).
        scale: Positive, (D,).
    """

    shift: Double
    scale: Double

    @classmethod
    def of_rows(cls, x: NDArray[Any], *, shared: bool) -> Self:
        """
        Return units in which the rows of x, (N, D), have mean 0 and variance 1.

        A column that is constant up to rounding has no scale of its own: its size is
        taken, or 1 if it is 0.

        Args:
            shared: Whether all dimensions have one scale, as the pixels of images do;
                otherwise a border pixel that is rarely set would get the weight of all
                others.
        """
        first = x[0].astype(np.float64)
        total, largest = np.zeros_like(first), np.zeros_like(first)
        for rows in _blocks(x):
            np.maximum(largest, np.abs(rows - first).max(axis=0), out=largest)
        spread = np.where(largest > 0, largest, 1.0)  # so that no square overflows
        for rows in _blocks(x):
            total += ((rows - first) / spread).sum(axis=0)
        mean = total / len(x)
        squares = np.zeros_like(first)
        for rows in _blocks(x):
            squares += np.square((rows - first) / spread - mean).sum(axis=0)
        shift = first + spread * mean
        deviation = spread * np.sqrt(squares / len(x))
        size = np.maximum(np.abs(first), largest)
        if shared:
            size = np.full_like(size, size.max())
            most = deviation.max() or 1.0
            whole = most * np.sqrt(np.square(deviation / most).mean())
            deviation = np.full_like(deviation, whole)
        constant = np.where(size > 0, size, 1.0)
        return cls(shift, np.where(deviation > _ROUNDING * size, deviation, constant))

    @cached_property
    def log_scale(self) -> Double:
        """The logarithm of the scale, (D,); to subtract from a log density of u."""
        return np.log(self.scale)

    @cached_property
    def log_jacobian(self) -> float:
        """The log density of x minus that of u, in nats."""
        return -float(self.log_scale.sum())

    def standardize(self, x: NDArray[Any]) -> Single:
        """
        Return u for rows of x, (N, D), rounded once, to float32.

        It is infinite or NaN where it does not fit float32.
        """
        u = np.empty(x.shape, np.float32)
        step = max(1, _BLOCK_VALUES // max(1, len(self.shift)))
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(0, len(x), step):
                u[i : i + step] = (x[i : i + step] - self.shift) / self.scale
        return u

    def standardize_part(self, x: NDArray[Any], first: int) -> Single:
        """Return u for x, flat, whose first value has this position in its rows."""
        d = (first + np.arange(len(x))) % len(self.shift)
        with np.errstate(over="ignore", invalid="ignore"):
            return ((x - self.shift[d]) / self.scale[d]).astype(np.float32)

    @cached_property
    def x_range(self) -> tuple[float, float]:
        """A range of x, the same for all columns, in which every u fits float32."""
        with np.errstate(over="ignore"):
            reach = self.scale * float(np.finfo(np.float32).max) * 0.5
            low, high = (self.shift - reach).max(), (self.shift + reach).min()
        most = float(np.finfo(np.float64).max)
        return max(float(low), -most), min(float(high), most)

    def mean(self, u: NDArray[Any]) -> Double:
        """Return x, or a mean of x, for u, (..., D); infinite where it is too large."""
        with np.errstate(over="ignore"):
            x: Double = self.shift + self.scale * u
        return x

    def variance(self, variance: NDArray[Any]) -> Double:
        """Return the variance of x for that of u, (..., D)."""
        with np.errstate(over="ignore"):
            found: Double = np.square(self.scale) * variance
        return found

    def log_var(self, log_var: NDArray[Any]) -> Double:
        """Return the logarithm of the variance of x for that of u, (..., D)."""
        found: Double = log_var + 2 * self.log_scale
        return found


@final
class StoredUnits(ExactBuffers):
    """
    Shift and scale among the weights of a model: float64 whatever the weights are.

    They are buffers, not parameters: training computes them from the data and does not
    optimize them.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, data_dim: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.empty(data_dim, dtype=torch.float64))
        self.register_buffer("scale", torch.empty(data_dim, dtype=torch.float64))
        self.reset()

    def reset(self) -> None:
        """Set them to the identity."""
        self.shift.zero_()
        self.scale.fill_(1)

    def set(self, units: Units) -> None:
        """Take the values of units."""
        self.shift.copy_(torch.from_numpy(units.shift))
        self.scale.copy_(torch.from_numpy(units.scale))

    @property
    def units(self) -> Units:
        """The values as arrays."""
        return Units(self.shift.cpu().numpy(), self.scale.cpu().numpy())


def _blocks(x: NDArray[Any]) -> list[NDArray[Any]]:
    """Split rows into blocks of a bounded size."""
    step = max(1, _BLOCK_VALUES // max(1, x.shape[1]))
    return [x[i : i + step] for i in range(0, len(x), step)]
