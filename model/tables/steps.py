"""
Distributions in units of a column's resolution: in the range of rows, and beyond it.

A new row is above all n training rows with a probability of at most 1 / (n + 1): each
of the n + 1 rows is as likely to be the largest. If k rows share the largest value, the
probability is taken as 1 / k of that, since only one of the k was above all others when
it came. The excess over the range has an exponential distribution, which is the
generalized Pareto distribution of Pickands (1975) with shape 0; its scale is the mean
excess of the 10 largest rows over the next one. A hundredth of the probability lies
beyond the outer knot, where `Curves` falls off as a power.

The same holds below the smallest row. But if no row is negative and 0 is near, what
would be below 0 is at 0. Negative numbers keep a probability of 1e-100 at most, so that
they have a finite log probability. That is 21 standard deviations below the middle of
the normal axis: a decoder that puts all of a row's probability at 0 draws none there.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MOST_OUTSIDE = 0.1  # the probability above the range of fewer than 9 rows
_N_LARGEST = 10  # rows whose mean excess is the scale
_FALLING = 0.01  # of the probability above the range, the share beyond the last knot
_N_PIECES = 12  # between the knots above the range
_NEGATIVE = 1e-100  # the probability of negative numbers where no row has one
_NEAR = 3.0  # 0 is near a smallest row that is at most so many ranges above it


class Steps(NamedTuple):
    """A distribution on the axis in units of the resolution: F at points, (P,)."""

    points: NDArray[np.float64]
    below: NDArray[np.float64]

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return F, linear between the points."""
        found: NDArray[np.float64] = np.interp(points, self.points, self.below)
        return found


class Side(NamedTuple):
    """
    What lies beyond one end of the range.

    Attributes:
        excess: Distances of knots outwards from the end, 0 first, ascending, (P,).
        beyond: The probability of what lies farther out, descending, (P,).
    """

    excess: NDArray[np.float64]
    beyond: NDArray[np.float64]


class Outside(NamedTuple):
    """
    The range of rows, from the edge of a cell to that of another, and beyond it.

    Attributes:
        low, high: The ends of the range.
        lower, upper: What lies below and above.
    """

    low: float
    high: float
    lower: Side
    upper: Side

    @classmethod
    def of(cls, steps: NDArray[np.float64]) -> "Outside":
        """Describe rows in units of the resolution, (N,)."""
        low, high = float(steps.min()) - 0.5, float(steps.max()) + 0.5
        is_bounded = 0 <= steps.min() <= _NEAR * (high - low)
        lower = _side(-steps)
        lower = _end(lower, low + 0.5) if is_bounded else lower
        return cls(low, high, lower, _side(steps))

    def curve(self, inside: Steps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return knots and masses, as in `Curves`, with F within the range given."""
        (low, below), (high, above) = self.lower, self.upper
        within = 1 - below[0] - above[0]
        points = [self.low - low[:0:-1], inside.points, self.high + high[1:]]
        masses = [
            below[-1:],
            np.diff(below[::-1]),
            within * np.diff(inside.below),
            -np.diff(above),
            above[-1:],
        ]
        return np.concatenate(points), np.concatenate(masses)


def _side(steps: NDArray[np.float64]) -> Side:
    """Return what lies above rows."""
    falling = np.sort(steps)[::-1]
    n, n_equal = len(falling), int((falling == falling[0]).sum())
    n_largest = min(_N_LARGEST, n - 1)
    excess = falling[:n_largest] - falling[n_largest]
    scale = max(float(excess.mean()), 1.0) if n_largest else 1.0
    share = np.linspace(0, 1, _N_PIECES + 1)
    total = min(_MOST_OUTSIDE, 1 / (n + 1)) / n_equal
    return Side(-math.log(_FALLING) * scale * share, total * _FALLING**share)


def _end(side: Side, distance: float) -> Side:
    """
    Return a side without what is negative.

    Args:
        distance: From the edge of the smallest row's cell to that of 0, outwards.
    """
    if distance == 0:
        return Side(np.zeros(1), np.array([_NEGATIVE]))
    excess = side.excess[side.excess < max(distance - 1, 1)]
    # The cell of 0 has what would be beyond it; but what is beyond the last knot is
    # spread evenly as far as 0.
    if distance > 1 and len(excess) < len(side.excess):
        excess = np.append(excess, distance - 1)
    beyond = np.interp(excess, side.excess, side.beyond)
    negative = min(_NEGATIVE, _FALLING * float(beyond[-1]))
    return Side(np.append(excess, distance), np.append(beyond, negative))
