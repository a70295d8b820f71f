"""Work on rows block by block, so that it needs little memory besides the rows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from model.files import scratch

_VALUES = 1 << 20


def blocks(x: NDArray[Any]) -> Iterator[slice]:
    """Yield slices that together are all rows of x, (N, ...)."""
    step = max(1, _VALUES // max(1, x[0].size))
    return (slice(start, start + step) for start in range(0, len(x), step))


def map_rows(
    convert: Callable[[NDArray[Any], int], NDArray[Any]],
    x: NDArray[Any],
    dtype: DTypeLike,
    *,
    width: int | None = None,
) -> NDArray[Any]:
    """
    Return the converted rows of x, (N, D), memory-mapped where they are many.

    Args:
        convert: Takes some rows and the position of the first, and returns as many.
        width: Of the converted rows, if it is not D.
    """
    found = scratch.empty((len(x), width or x[0].size), dtype)
    for rows in blocks(x):
        block = convert(x[rows], rows.start)
        found[rows] = block.reshape(len(block), -1)
    return found


def first_outside(
    is_inside: Callable[[NDArray[Any]], NDArray[np.bool_]], x: NDArray[Any]
) -> tuple[int, ...] | None:
    """Return the index of the first value for which a test is false, or None."""
    for rows in blocks(x):
        inside = is_inside(x[rows])
        if not inside.all():
            index = np.unravel_index(int(np.argmin(inside)), inside.shape)
            return (rows.start + int(index[0]), *map(int, index[1:]))
    return None
