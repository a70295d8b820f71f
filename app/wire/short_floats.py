"""The floats of safetensors that numpy does not have: bfloat16, and those of 8 bits."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Single = NDArray[np.float32]


def _bfloat16(values: NDArray[np.uint16]) -> Single:
    """Widen values that are the upper half of a float32."""
    return (values.astype("<u4") << 16).view("<f4")


def _e5m2(values: NDArray[np.uint8]) -> Single:
    """Widen values that are the upper half of a float16."""
    return (values.astype("<u2") << 8).view("<f2").astype(np.float32)


def _e4m3(values: NDArray[np.uint8]) -> Single:
    """Widen values of 4 bits of exponent, of bias 7, and 3 of fraction."""
    return _E4M3[values]


def _e4m3_numbers() -> Single:
    """Return the number of each byte; NaN for the two with all other bits set."""
    byte = np.arange(256)
    sign, exponent, fraction = byte >> 7, (byte >> 3) & 15, byte & 7
    whole = np.where(exponent == 0, fraction / 8, 1 + fraction / 8)
    numbers = (1 - 2 * sign) * whole * 2.0 ** (np.maximum(exponent, 1) - 7)
    return np.where((byte & 127) == 127, np.nan, numbers).astype(np.float32)


_E4M3 = _e4m3_numbers()

# The dtype of the bytes, and how to widen them.
SHORT_FLOATS: Mapping[str, tuple[np.dtype[Any], Callable[[NDArray[Any]], Single]]] = {
    "BF16": (np.dtype("<u2"), _bfloat16),
    "F8_E5M2": (np.dtype("u1"), _e5m2),
    "F8_E4M3": (np.dtype("u1"), _e4m3),
}
