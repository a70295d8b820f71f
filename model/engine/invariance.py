"""
Verify on this machine that the bits of a row do not depend on the other rows.

Matrix products use different kernels for different heights, and vectorized elementwise
functions use different code for the last few values of an array. This depends on the
processor and the library, and neither documents it. So the engine tests it, with more
and more padding until no bit changes.
"""

from collections.abc import Callable, Sequence
from math import gcd
from time import thread_time
from typing import NamedTuple

import numpy as np

from model.engine.arrays import Array


class Tiling(NamedTuple):
    """Rows are computed `height` at a time, padded to a multiple of `padding`."""

    height: int
    padding: int


Tiled = Callable[[Tiling, Sequence[Array]], Sequence[Array]]

_PADDINGS = (1, 2, 4, 8, 16, 32)
_VECTOR = 32  # two registers of 16 float32, the longest unrolling in use today
# Heights on both sides of the powers of two where kernels change.
_HEIGHTS = (1, 2, 3, 4, 5, 7, 9, 15, 17, 31, 33, 63, 65)
_SLOW_SECONDS, _SLOW_HEIGHTS = 0.02, (1, 2, 3, 5, 17)
# Of each padded height, about so many rows are tested: kernels may differ in the last
# bit of one row of ten, so that a few rows would not show it.
_ROWS, _FEW_ROWS = 64, 2


def whole_vectors(width: int) -> int:
    """
    Return the number of rows of `width` values that fill whole vector registers.

    Elementwise code may round a remainder differently, but too rarely for a test to
    find it.
    """
    return _VECTOR // gcd(_VECTOR, width)


def independent_tiling(
    tiled: Tiled, arrays: Sequence[Array], *, at_least: int = 1
) -> Tiling | None:
    """
    Return the cheapest tiling for which no bit of a row changed in the test.

    Args:
        tiled: Computes rows in a given tiling.
        arrays: The inputs of one full tile.
        at_least: The smallest padding to try.

    Returns:
        A tiling; `Tiling(1, 1)`, rows one by one, if no padding works; None if that
        fails too.
    """
    height = len(arrays[0])
    paddings = [padding for padding in (*_PADDINGS, height) if padding >= at_least]
    for tiling in (*(Tiling(height, padding) for padding in paddings), Tiling(1, 1)):
        if _holds(tiled, tiling, arrays):
            return tiling
    return None


def _holds(tiled: Tiled, tiling: Tiling, arrays: Sequence[Array]) -> bool:
    height = len(arrays[0])
    together = tiled(tiling, arrays)
    # The second run, by processor time: the first one loads code, and a busy machine
    # must not shorten the test.
    started = thread_time()
    tiled(tiling, arrays)
    is_slow = thread_time() - started > _SLOW_SECONDS
    for n in _heights(_SLOW_HEIGHTS if is_slow else _HEIGHTS, tiling):
        for start in _starts(n, height, _FEW_ROWS if is_slow else _ROWS):
            part = slice(start, start + n)
            alone = tiled(tiling, [array[part] for array in arrays])
            if not all(
                _equal(got, want[part])
                for got, want in zip(alone, together, strict=True)
            ):
                return False
    return True


def _equal(got: Array, want: Array) -> bool:
    """Return whether values are equal; equal bits are found fast, and are the rule."""
    return got.tobytes() == want.tobytes() or np.array_equal(got, want, equal_nan=True)


def _heights(heights: Sequence[int], tiling: Tiling) -> Sequence[int]:
    """
    Return the largest of the heights that a tiling pads to the same, up to its own.

    The others are computed by the same code, so that fewer calls test as many rows.
    """
    padding = tiling.padding
    tested = {n + -n % padding: n for n in sorted(heights) if n <= tiling.height}
    return tuple(tested.values())


def _starts(n: int, height: int, n_rows: int) -> Sequence[int]:
    """Return where to test n rows: the first, the last, some between, odd ones too."""
    n_parts = max(2, n_rows // n)
    return sorted(
        {0, height - n, *((height - n) * i // n_parts | 1 for i in range(n_parts))}
    )
