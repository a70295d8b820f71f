"""
Distributions on the axis of a column: pieces of constant density between knots.

Every operation is computed for all columns at once, in float64. Beyond the outer knots
the density falls as a power, so that every number has a finite log probability.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

_POWER = 3.0  # of the tails: mean and variance are finite
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
        piece = self._piece(x)
        i = piece.clamp(0, self.knots.shape[1] - 2)
        left = _pick(self.knots, i)
        right = _pick(self.knots[:, 1:], i)
        slope = _pick(self.density, i)
        below = _pick(self.below, i) + slope * (x - left).clamp(min=0)
        above = _pick(self.above[:, 1:], i) + slope * (right - x).clamp(min=0)
        lower, upper = self.tails.unbind(dim=1)
        out_low = lower * self._fall(self.knots[:, 0] - x)
        out_high = upper * self._fall(x - self.knots[:, -1])
        is_low = piece < 0
        is_high = x >= self.knots[:, -1]
        below = torch.where(is_low, out_low, torch.where(is_high, 1 - out_high, below))
        above = torch.where(is_high, out_high, torch.where(is_low, 1 - out_low, above))
        return below.clamp(0, 1), above.clamp(0, 1)

    def scores(self, x: Tensor) -> Tensor:
        """Return Phi^-1(F(x)), (N, S), between -37 and 37."""
        return normal_scores(*self.parts(x))

    def log_mass(self, low: Tensor, high: Tensor) -> Tensor:
        """Return log F(high) - F(low) of intervals, (N, S), finite in the far tails."""
        first, last = self._piece(low), self._piece(high)
        n_pieces = self.knots.shape[1] - 1
        inside = (first >= 0) & (last < n_pieces)
        mass = torch.where(
            inside, self._mass_inside(low, high, first, last), self._mass(low, high)
        )
        lower, upper = self.tails.unbind(dim=1)
        width = high - low
        out_low = self._log_tail(lower, self.knots[:, 0] - high, width)
        out_high = self._log_tail(upper, low - self.knots[:, -1], width)
        log_mass = mass.clamp(min=_LEAST).log()
        log_mass = torch.where(high <= self.knots[:, 0], out_low, log_mass)
        return torch.where(low >= self.knots[:, -1], out_high, log_mass)

    def _mass(self, low: Tensor, high: Tensor) -> Tensor:
        """Return the probability of intervals by a difference, in the nearer tail."""
        (below, above), (below_high, above_high) = self.parts(low), self.parts(high)
        return torch.where(below_high <= 0.5, below_high - below, above - above_high)

    def _mass_inside(
        self, low: Tensor, high: Tensor, first: Tensor, last: Tensor
    ) -> Tensor:
        """Return the probability of intervals that end in the pieces first and last."""
        most = self.knots.shape[1] - 2
        i, j = first.clamp(0, most), last.clamp(0, most)
        one = _pick(self.density, i) * (high - low)
        right, left = _pick(self.knots[:, 1:], i), _pick(self.knots, j)
        ends = _pick(self.density, i) * (right - low)
        ends = ends + _pick(self.density, j) * (high - left)
        below = _pick(self.below, j) - _pick(self.below[:, 1:], i)
        above = _pick(self.above[:, 1:], i) - _pick(self.above, j)
        between = torch.where(_pick(self.below, j) <= 0.5, below, above)
        return torch.where(i == j, one, ends + between)

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

    def _piece(self, x: Tensor) -> Tensor:
        """Return the last knot at or below x, -1 if there is none, (N, S)."""
        return torch.searchsorted(self.knots, x.T.contiguous(), right=True).T - 1

    def _fall(self, excess: Tensor) -> Tensor:
        """Return which share of a tail lies farther out, (N, S)."""
        return torch.exp(-_POWER * torch.log1p(excess.clamp(min=0) / self.reach))

    def _rise(self, tail: Tensor, share: Tensor) -> Tensor:
        """Return how far out a probability of a tail begins, the inverse of `_fall`."""
        ratio = (share / tail.clamp(min=_LEAST)).clamp(min=_LEAST, max=1)
        return self.reach * torch.expm1(-torch.log(ratio) / _POWER)

    def _log_tail(self, tail: Tensor, nearest: Tensor, width: Tensor) -> Tensor:
        """Return the log probability of an interval of a tail, (N, S)."""
        near = torch.log1p(nearest.clamp(min=0) / self.reach)
        step = width / (self.reach + nearest.clamp(min=0))
        part = -torch.expm1(-_POWER * torch.log1p(step))
        log_tail = tail.clamp(min=_LEAST).log()
        return log_tail - _POWER * near + part.clamp(min=_LEAST).log()


def normal_scores(below: Tensor, above: Tensor) -> Tensor:
    """Return Phi^-1 of a probability that is given with its complement."""
    least = torch.minimum(below, above).clamp(min=_LEAST, max=0.5)
    score = torch.special.ndtri(least)
    return torch.where(below <= above, score, -score)


def log_phi(t: Tensor) -> Tensor:
    """Return log of the standard normal density."""
    return -0.5 * t.square() - _LOG_ROOT


def _pick(table: Tensor, index: Tensor) -> Tensor:
    """Return table[s, index[n, s]], (N, S)."""
    return torch.gather(table, 1, index.T).T
