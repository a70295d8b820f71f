"""Distributions in units of a column's resolution, and the uniform part of one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_UNIFORM = 0.01  # the weight of the uniform part
_FALLING = 0.01  # of what lies out of range, the share beyond three times the range


class Steps(NamedTuple):
    """A distribution on the axis in units of the resolution: F at points, (P,)."""

    points: NDArray[np.float64]
    below: NDArray[np.float64]

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return F, linear between the points."""
        found: NDArray[np.float64] = np.interp(points, self.points, self.below)
        return found


class Flat(NamedTuple):
    """
    The uniform part.

    Attributes:
        inside: F on three times the range, where it has the probability 0.01 - `tails`.
        tails: The probability beyond.
    """

    inside: Steps
    tails: float


def flat_part(steps: NDArray[np.float64]) -> Flat:
    """
    Return what is uniform on the range of n rows, but for u = 1 / n, at most 0.01.

    What none of n rows had has a probability of about 1 / n. u is uniform on three
    times the range, and a hundredth of it lies beyond.
    """
    low, high = float(steps.min()) - 0.5, float(steps.max()) + 0.5
    width = max(high - low - 1.0, 1.0)
    wide = min(_UNIFORM, 1 / len(steps))
    tails, total = _FALLING * wide, _UNIFORM - _FALLING * wide
    side = (wide - tails) * width / (high - low + 2 * width)
    return Flat(
        Steps(
            np.array([low - width, low, high, high + width]),
            np.array([0.0, side, total - side, total]),
        ),
        tails,
    )
