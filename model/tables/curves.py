"""
Distributions on the axis of a column: pieces of constant density between knots.

Every operation is computed for all columns at once, in float64. Beyond the outer knots
the density falls as a power, so that every number has a finite log probability.
"""

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import torch
from torch import Tensor

_POWER = 3.0  # of the tails: mean and variance are finite
_MOST = sys.float_info.max
_LEAST = 1e-300  # the probability beyond the last score, 37
_LOG_ROOT = 0.5 * math.log(2 * math.pi)


@final
@dataclass(frozen=True, eq=False)
class Curves:
    """
    F of S columns, each given by K knots.

    Attributes:
        knots: Ascending, (S, K), float64; a column with fewer repeats its last one.
        masses: The probability below the first knot, between knots, and above the last
            one, (S, K + 1), float64; they sum to 1.
    """

    knots: Tensor
    masses: Tensor

    @cached_property
    def below(self) -> Tensor:
        """F at the knots, (S, K)."""
        return self.masses.cumsum(dim=1)[:, :-1].clamp(max=1)

    @cached_property
    def above(self) -> Tensor:
        """1 - F at the knots, (S, K), precise in the upper tail."""
        return self.masses.flip(1).cumsum(dim=1).flip(1)[:, 1:].clamp(max=1)

    @cached_property
    def density(self) -> Tensor:
        """The density between knots, 0 where two are one, (S, K - 1)."""
        widths = self.knots.diff(dim=1)
        return torch.where(widths > 0, self.masses[:, 1:-1] / widths, 0.0)

    @cached_property
    def reach(self) -> Tensor:
        """The scale of the tails, (S,)."""
        return (self.knots[:, -1] - self.knots[:, 0]).clamp(min=1e-300)

    @cached_property
    def tails(self) -> Tensor:
        """The probability of the two tails, (S, 2)."""
        return self.masses[:, [0, -1]]

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return F and 1 - F at x, (N, S) each."""
        return self._parts(self._place(x))

    def scores(self, x: Tensor) -> Tensor:
        """Return Phi^-1(F(x)), (N, S), between -37 and 37."""
        return normal_scores(*self.parts(x))

    def log_mass(self, low: Tensor, high: Tensor) -> Tensor:
        """Return log F(high) - F(low) of intervals, (N, S), finite in the far tails."""
        return self.intervals(low, high, high - low).log_mass

    def intervals(self, low: Tensor, high: Tensor, width: Tensor) -> "Intervals":
        """
        Return what there is to know about intervals, (N, S).

        Args:
            width: Of the intervals; far out, high - low is rounded to 0.
        """
        place = self._place(torch.cat([low, high]))
        below, above = self._parts(place)
        n = len(low)
        start, end = place.rows(slice(n)), place.rows(slice(n, None))
        mass = self._mass_inside(start, end)
        first, last = self.knots[:, 0], self.knots[:, -1]
        is_outside = (low < first) | (high >= last)
        if not is_outside.any():
            return Intervals(below, above, mass.clamp(min=_LEAST).log())
        difference = torch.where(
            below[n:] <= 0.5, below[n:] - below[:n], above[:n] - above[n:]
        )
        mass = torch.where(is_outside, difference, mass)
        lower, upper = self.tails.unbind(dim=1)
        log_mass = mass.clamp(min=_LEAST).log()
        out_low = self._log_tail(lower, first - high, width)
        out_high = self._log_tail(upper, low - last, width)
        log_mass = torch.where(high <= first, out_low, log_mass)
        return Intervals(below, above, torch.where(low >= last, out_high, log_mass))

    def _parts(self, place: "_Place") -> tuple[Tensor, Tensor]:
        """Return F and 1 - F, (N, S) each."""
        x = place.x
        below = place.below_left + place.density * (x - place.left)
        above = place.above_right + place.density * (place.right - x)
        is_low, is_high = x < self.knots[:, 0], x >= self.knots[:, -1]
        if not (is_low | is_high).any():
            return below, above
        lower, upper = self.tails.unbind(dim=1)
        out_low = lower * self._fall(self.knots[:, 0] - x)
        out_high = upper * self._fall(x - self.knots[:, -1])
        below = torch.where(is_low, out_low, torch.where(is_high, 1 - out_high, below))
        above = torch.where(is_high, out_high, torch.where(is_low, 1 - out_low, above))
        return below, above

    @staticmethod
    def _mass_inside(start: "_Place", end: "_Place") -> Tensor:
        """Return the probability of intervals between knots, without cancellation."""
        one = start.density * (end.x - start.x)
        ends = start.density * (start.right - start.x)
        ends = ends + end.density * (end.x - end.left)
        between = torch.where(
            end.below_left <= 0.5,
            end.below_left - start.below_right,
            start.above_right - end.above_left,
        )
        return torch.where(start.piece == end.piece, one, ends + between)

    def _place(self, x: Tensor) -> "_Place":
        """Return the pieces between two knots in which numbers lie, (N, S)."""
        found = torch.searchsorted(self.knots, x.T.contiguous(), right=True).T - 1
        piece = found.clamp(0, self.knots.shape[1] - 2)
        fields = self._pieces[self._columns, piece]
        return _Place(x, piece, *fields.unbind(dim=-1))

    @cached_property
    def _columns(self) -> Tensor:
        return torch.arange(len(self.knots), device=self.knots.device)

    @cached_property
    def _pieces(self) -> Tensor:
        """The fields of `_Place` from `left` on, (S, K - 1, 7)."""
        fields = (
            *(self.knots[:, :-1], self.knots[:, 1:], self.density),
            *(self.below[:, :-1], self.below[:, 1:]),
            *(self.above[:, :-1], self.above[:, 1:]),
        )
        return torch.stack(fields, dim=-1)

    def quantiles(self, below: Tensor, above: Tensor) -> Tensor:
        """Return x with F(x) = below and 1 - F(x) = above, (N, S), finite."""
        i = torch.searchsorted(self.below, below.T.contiguous(), right=True).T - 1
        is_low = i < 0
        i = i.clamp(0, self.knots.shape[1] - 2)
        rest = (below - _pick(self.below, i)).clamp(min=0)
        share = rest / _pick(self.masses[:, 1:-1], i).clamp(min=_LEAST)
        left, right = _pick(self.knots, i), _pick(self.knots[:, 1:], i)
        inside = left + share.clamp(max=1) * (right - left)
        lower, upper = self.tails.unbind(dim=1)
        is_high = above < upper
        out_low = self.knots[:, 0] - self._rise(lower, below)
        out_high = self.knots[:, -1] + self._rise(upper, above)
        return torch.where(is_low, out_low, torch.where(is_high, out_high, inside))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each column, (S,) each."""
        left, right = self.knots[:, :-1], self.knots[:, 1:]
        middle, masses = 0.5 * (left + right), self.masses[:, 1:-1]
        ends = torch.stack(
            [self.knots[:, 0] - self.reach / 2, self.knots[:, -1] + self.reach / 2], 1
        )
        mean = (masses * middle).sum(1) + (self.tails * ends).sum(1)
        off = (middle - mean[:, None]).square() + (right - left).square() / 12
        # A tail's excess over its knot has the mean r / 2 and the mean square r^2.
        spread = (ends - mean[:, None]).square() + 0.75 * self.reach.square()[:, None]
        return mean, (masses * off).sum(1) + (self.tails * spread).sum(1)

    def _fall(self, excess: Tensor) -> Tensor:
        """Return which share of a tail lies farther out, (N, S)."""
        return torch.exp(-_POWER * torch.log1p(excess.clamp(min=0) / self.reach))

    def _rise(self, tail: Tensor, share: Tensor) -> Tensor:
        """Return how far out a probability of a tail begins, the inverse of `_fall`."""
        ratio = (share / tail.clamp(min=_LEAST)).clamp(min=_LEAST, max=1)
        return self.reach * torch.expm1(-torch.log(ratio) / _POWER)

    def _log_tail(self, tail: Tensor, nearest: Tensor, width: Tensor) -> Tensor:
        """Return the log probability of an interval of a tail, (N, S)."""
        nearest = nearest.clamp(min=0, max=_MOST)
        ratio = nearest / self.reach
        # The quotient of two numbers may be none: 1e308 of a column between 0 and 1e-3.
        near = torch.where(
            ratio.isfinite(), torch.log1p(ratio), nearest.log() - self.reach.log()
        )
        step = width / (self.reach + nearest)
        part = -torch.expm1(-_POWER * torch.log1p(step))
        log_tail = tail.clamp(min=_LEAST).log()
        return log_tail - _POWER * near + part.clamp(min=_LEAST).log()


@final
class Intervals(NamedTuple):
    """
    N intervals of each of S columns.

    Attributes:
        below: F at the lower edges, then at the upper ones, (2 N, S).
        above: 1 - F there, (2 N, S).
        log_mass: The logarithm of the probability of each interval, (N, S).
    """

    below: Tensor
    above: Tensor
    log_mass: Tensor


class _Place(NamedTuple):
    """Numbers, (N, S), and the pieces in which they lie: F and 1 - F at its ends."""

    x: Tensor
    piece: Tensor
    left: Tensor
    right: Tensor
    density: Tensor
    below_left: Tensor
    below_right: Tensor
    above_left: Tensor
    above_right: Tensor

    def rows(self, index: slice) -> "_Place":
        """Return some of the numbers."""
        return _Place(*(field[index] for field in self))


def normal_scores(below: Tensor, above: Tensor) -> Tensor:
    """Return Phi^-1 of a probability that is given with its complement."""
    least = torch.minimum(below, above).clamp(min=_LEAST, max=0.5)
    score = torch.special.ndtri(least)
    return torch.where(below <= above, score, -score)


def normal_cdf(score: Tensor) -> Tensor:
    """Return Phi, precise in its lower tail; torch.special.ndtr is 0 below -8.3."""
    found: Tensor = 0.5 * torch.special.erfc(-math.sqrt(0.5) * score)
    return found


def log_phi(t: Tensor) -> Tensor:
    """Return log of the standard normal density."""
    return -0.5 * t.square() - _LOG_ROOT


def _pick(table: Tensor, index: Tensor) -> Tensor:
    """Return table[s, index[n, s]], (N, S)."""
    return torch.gather(table, 1, index.T).T
