"""
How raw values become x: the one meaning of an array, in a file and in a request.

Integers are divided as training divided their dtype, booleans are 0 and 1, and floats
are x itself, as are integers of other dtypes. What lies outside the model's range is
refused, with its place and the likely cause.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from model.config import Config
from model.data_config import PIXELS

FloatArray = NDArray[Any]  # float32 or float64

_BLOCK = 1 << 16
# The exponent and mantissa of 1, the largest bits that a number in [0, 1] has.
_BITS_OF_ONE: dict[Any, tuple[Any, int]] = {
    np.dtype(np.float32): (np.dtype(np.uint32), 0x3F80_0000),
    np.dtype(np.float64): (np.dtype(np.uint64), 0x3FF0_0000_0000_0000),
}
# Booleans and numbers that float32 holds exactly; others become float64.
_NARROW = frozenset(["bool", "int8", "int16", "uint8", "uint16", "float16", "float32"])


@final
class TwoReadingsError(ValueError):
    """Integers that hold only 0 and 1 may be x itself, or raw values to be divided."""


@final
@dataclass(frozen=True, eq=False)
class RawValues:
    """
    How raw values become x.

    Attributes:
        divided_by: What training divided raw values by; 1 if it did not.
        divisors: By the name of the dtype; other dtypes are not divided.
        value_range: The smallest and the largest x; None if there are no limits.
    """

    divided_by: float
    divisors: Mapping[Any, float]
    value_range: tuple[float, float] | None

    @classmethod
    def of_model(cls, config: Config) -> Self:
        """Return how a model's training read raw values, and which x it accepts."""
        data = config.data
        limits = data.value_range
        if config.table is not None:
            limits = None  # codes of its columns
        elif config.likelihood.kind != "gaussian":
            limits = (0.0, 1.0)  # the support
        elif limits is not None:
            # A Gaussian model's own draws are somewhat outside.
            width = limits[1] - limits[0]
            limits = (limits[0] - width, limits[1] + width)
        return cls(data.divided_by, data.divisors, limits)

    @classmethod
    def of_file(cls, values: NDArray[Any]) -> Self:
        """
        Return how training reads an array of a file, (N, ...).

        Unsigned integers of 8 or 16 bits with three or four axes are pictures.
        """
        divisors: Mapping[Any, float] = PIXELS
        divided_by = divisors.get(_name(values.dtype))
        if divided_by is not None and values.ndim in (3, 4):
            return cls(divided_by, divisors, (0.0, 1.0))
        return cls(1.0, {}, None)

    def x_of(self, values: NDArray[Any]) -> FloatArray:
        """
        Return the x of raw values of any shape: float32 if that is exact, or float64.

        Raises:
            TwoReadingsError: They are integers that hold only 0 and 1, and raw values
                are divided.
        """
        self.check_reading(values)
        return self.convert(values)

    def convert(self, values: NDArray[Any]) -> FloatArray:
        """Return the x of a part of raw values that `check_reading` accepts."""
        if values.dtype in _BITS_OF_ONE:
            return values
        divisor = self.divisors.get(_name(values.dtype))
        if divisor is None:
            return values.astype(
                np.float32 if _name(values.dtype) in _NARROW else np.float64
            )
        # In float32, also from files: the same bits everywhere.
        x = values.astype(np.float32)
        x /= np.float32(divisor)
        return x

    def first_outside(self, x: FloatArray) -> int | None:
        """
        Return the index of the first x, flat, outside the range, None if there is none.

        NaN is outside. Without a range, everything is inside.
        """
        if self.value_range is None or _is_inside(x, *self.value_range):
            return None
        low, high = self.value_range
        for start in range(0, len(x), _BLOCK):
            # Rounded, because it is rounded before it is used.
            with np.errstate(over="ignore"):
                block = x[start : start + _BLOCK].astype(np.float32)
            inside = (block >= low) & (block <= high)  # false for NaN
            if not inside.all():
                return start + int(np.argmin(inside))
        return None

    def likely_cause(self, x: FloatArray) -> str:
        """Return why values, flat, may be outside the range, and what to do; or ""."""
        if self.value_range is None or not len(x):
            return ""
        low, high = float(x.min()), float(x.max())
        if -1 <= low <= -0.5 and high <= 1:
            return "looks like -1 to 1: add 1 and divide by 2"
        if low < 0 or high <= 2:
            return ""  # slightly outside: no scale of its own
        for name, divisor in sorted(self.divisors.items(), key=lambda item: item[1]):
            if high <= divisor:
                return (
                    f"looks like 0-{divisor:g}: send {name}, or divide by {divisor:g}"
                )
        return ""

    def check_reading(self, values: NDArray[Any]) -> None:
        """
        Check that all the raw values do not have two readings.

        Raises:
            TwoReadingsError: As in `x_of`.
        """
        if values.dtype.kind not in "iu" or self.divided_by == 1:
            return
        if _holds_only_0_and_1(values):
            divisor = f"{self.divided_by:g}"
            raise TwoReadingsError(
                f"{values.dtype.newbyteorder('=')} with only 0 and 1 has two readings: "
                "0 and 1 themselves (use bool or float), or raw values of 0 to "
                f"{divisor} (use float, divided by {divisor})"
            )


# Numbers of any size, none divided.
PLAIN = RawValues(1.0, {}, None)


def _is_inside(x: FloatArray, low: float, high: float) -> bool:
    """Return whether values are inside a range for sure, without rounding them."""
    if not x.size:
        return True
    if (low, high) != (0.0, 1.0):
        return bool(x.min() >= low and x.max() <= high)  # false for NaN
    # One pass: bits of floats are ordered as their values, and those of NaN and of
    # negative numbers are larger than those of all numbers in [0, 1]. argmax costs less
    # than max, which is a ufunc: 9 us of a request with one row.
    unsigned, most = _BITS_OF_ONE[x.dtype]
    bits = x.view(unsigned)
    return int(bits[bits.argmax()]) <= most


def _holds_only_0_and_1(values: NDArray[Any]) -> bool:
    """Return whether integers are 0 and 1, with at least one 1."""
    step = max(1, _BLOCK // max(1, values[:1].size))
    has_1 = False
    for start in range(0, len(values), step):  # most data end this at once
        block = values[start : start + step]
        if block.min() < 0 or block.max() > 1:
            return False
        has_1 = has_1 or bool(block.any())
    return has_1


def _name(dtype: np.dtype[Any]) -> str:
    return dtype.newbyteorder("=").name
