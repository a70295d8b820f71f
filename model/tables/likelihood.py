"""p(x|z) of a table: a probability for each cell, column by column."""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.special import erf, erfcx

from model.distributions import Likelihood, log_sinhc
from model.noise import HALF_STEP
from model.tables.curves import log_phi, normal_cdf
from model.tables.layout import Planes, TableLayout
from model.tables.marginals import NARROW, Marginals
from model.tables.missing_cells import Missing
from model.tables.quadrature import normal_nodes

# The weight of the marginal in every cell: no cell costs more than log 1 / EPSILON nats
# above its marginal.
EPSILON = 0.01
SCALE_FLOOR = 2e-3
_UNIT = math.log(math.expm1(1 - SCALE_FLOOR))  # the output for which the scale is 1

_HALF_ROOT = math.sqrt(0.5)
_FARTHEST = -NormalDist().inv_cdf(HALF_STEP)  # a score of draws: else 1e101 for some


class Indicators(NamedTuple):
    """
    Moments of the numbers of a row, and of the indicators of its categories.

    A number has one entry, a category one for each of its values; see `Summary`.

    Attributes:
        mean: (..., Q), float64.
        variance: (..., Q), float64.
    """

    mean: Tensor
    variance: Tensor


@final
@dataclass(frozen=True, eq=False)
class Summary:
    """
    A number for each column from averages of its indicators.

    Attributes:
        indicators: Means of indicators, (..., Q).
    """

    layout: TableLayout
    indicators: Tensor

    @property
    def codes(self) -> Tensor:
        """The means of numbers, else the most probable category, (..., C)."""
        n = len(self.layout.on_axis)
        numbers = self.indicators[..., :n]
        is_ordinal = self._constant("is_ordinal")
        numbers = torch.where(is_ordinal, numbers.round(), numbers)
        return self._join(numbers, self._table.argmax(dim=-1).to(numbers.dtype))

    def spread(self, variance: Tensor) -> Tensor:
        """Return variances of numbers, else the probability of other categories."""
        n = len(self.layout.on_axis)
        return self._join(variance[..., :n], 1 - self._table.amax(dim=-1))

    def pick(self, of_indicators: Tensor) -> Tensor:
        """Return what belongs to the number, or the category, of `codes`, (..., C)."""
        n = len(self.layout.on_axis)
        table = self._pad(of_indicators[..., n:])
        level = self._table.argmax(dim=-1, keepdim=True)
        return self._join(
            of_indicators[..., :n], torch.gather(table, -1, level)[..., 0]
        )

    @cached_property
    def _table(self) -> Tensor:
        """The probabilities of categories, (..., L, most)."""
        return self._pad(self.indicators[..., len(self.layout.on_axis) :])

    def _pad(self, flat: Tensor) -> Tensor:
        is_level = self._constant("is_level")
        table = flat.new_zeros(*flat.shape[:-1], *is_level.shape)
        table[..., is_level] = flat
        return table

    def _join(self, numbers: Tensor, levels: Tensor) -> Tensor:
        return torch.cat([numbers, levels], dim=-1)[..., self._constant("order")]

    def _constant(self, name: str) -> Tensor:
        return self.layout.tensor(name, self.indicators.device)


@final
@dataclass(frozen=True, eq=False)
class Table(Likelihood):
    """
    p(x|z) = prod_j p(cell_j|z), a product of probabilities of the known cells.

    A cell of a number or of an ordered category is an interval [a, b] of the column's
    normal axis, Phi^-1(F(.)) with F the marginal: with location m and scale s

        p(cell|z) = (1 - e) (Phi((b - m) / s) - Phi((a - m) / s)) + e (Phi(b) - Phi(a)).

    At m = 0 and s = 1 it is the marginal. A category c has, with shares p_c of the
    training rows and p_u of an unseen one, p(c|z) = (1 - e) (1 - p_u) softmax(eta)_c +
    e p_c; an unseen one has p_u. x is as in `model.tables.layout`, draws and means are
    codes.

    Attributes:
        parameters: Locations and scales, then logits, (..., P).
        marginals: Of the columns.
        missing: Which cells draws lack; None if they lack none. It is no part of
            log p(x|z).
    """

    kind = "table"
    noise = "uniform"
    support = "the cells of its columns, NaN where missing"
    value_range = None

    parameters: Tensor
    marginals: Marginals
    missing: Missing | None = None

    @property
    def layout(self) -> TableLayout:
        """Where the columns stand."""
        return self.marginals.layout

    @cached_property
    def location(self) -> Tensor:
        """m, (..., S)."""
        return self.parameters[..., : len(self.layout.on_axis)]

    @cached_property
    def scale(self) -> Tensor:
        """s, (..., S)."""
        n = len(self.layout.on_axis)
        return softplus(self.parameters[..., n : 2 * n] + _UNIT) + SCALE_FLOOR

    @cached_property
    def log_softmax(self) -> Tensor:
        """Log probabilities of categories, and of an unseen one, (..., L, most)."""
        logit, is_level = (self._constant(name) for name in ("logit", "is_level"))
        eta = self.parameters[..., logit]
        found = torch.log_softmax(torch.where(is_level, eta, -math.inf), dim=-1)
        shares = self.marginals.shares
        unseen = torch.where(is_level, 0.0, shares)
        log_rest = torch.log1p(-unseen.sum(dim=-1, keepdim=True)).to(found.dtype)
        return torch.where(is_level, found + log_rest, unseen.log().to(found.dtype))

    def log_prob_per_dim(self, x: Tensor) -> Tensor:
        """Return log p(cell_j|z) in nats, 0 for missing cells, (..., C)."""
        planes = Planes.of(x)
        fitted = torch.cat([self._of_axes(planes), self._of_levels(planes)], dim=-1)
        fitted = fitted[..., self._constant("order")]
        log_prob = torch.logaddexp(
            math.log1p(-EPSILON) + fitted, math.log(EPSILON) + planes.log_share
        )
        return torch.where(planes.known, log_prob, 0.0)

    def _of_axes(self, planes: Planes) -> Tensor:
        """Return log Phi((b - m) / s) - Phi((a - m) / s), (..., S)."""
        index = self._constant("on_axis")
        t = (planes.middle[..., index] - self.location) / self.scale
        log_half = planes.log_width[..., index] - math.log(2) - self.scale.log()
        is_narrow = log_half < math.log(NARROW)
        # The inner wheres keep the gradient of the branch not taken finite.
        return torch.where(
            is_narrow,
            _narrow(t, torch.where(is_narrow, log_half, math.log(NARROW))),
            _wide(t, torch.where(is_narrow, 0.0, log_half).exp()),
        )

    def _of_levels(self, planes: Planes) -> Tensor:
        """Return log softmax(eta) at the categories of x, (..., L)."""
        table = self.log_softmax
        level = planes.value[..., self._constant("with_logits")].long()[..., None]
        # As many rows of one as of the other.
        level = level + torch.zeros_like(table[..., :1], dtype=torch.int64)
        table = table.expand(*level.shape[:-1], table.shape[-1])
        return torch.gather(table, -1, level)[..., 0]

    @cached_property
    def level_shares(self) -> Tensor:
        """Probabilities of the known categories, (..., L, most), float64."""
        is_level = self._constant("is_level")
        shares = torch.where(is_level, self.marginals.shares, 0.0)
        fitted = torch.where(is_level, self.log_softmax.double().exp(), 0.0)
        mixed = (1 - EPSILON) * fitted + EPSILON * shares
        total: Tensor = mixed.sum(dim=-1, keepdim=True)
        return mixed / total

    @property
    def indicators(self) -> Indicators:
        """Moments of x given z that can be averaged over z."""
        numbers = self._numbers()
        share = self.level_shares[..., self._constant("is_level")]
        return Indicators(
            torch.cat([numbers.mean, share], dim=-1),
            torch.cat([numbers.variance, share * (1 - share)], dim=-1),
        )

    @property
    def mean(self) -> Tensor:
        """E[x_j|z] of numbers, else the most probable category, (..., C), float64."""
        return Summary(self.layout, self.indicators.mean).codes

    @property
    def variance(self) -> Tensor:
        """Var[x_j|z] of numbers, else the probability of any other category."""
        mean, variance = self.indicators
        return Summary(self.layout, mean).spread(variance)

    def sample(self, noise: Tensor) -> Tensor:
        """Draw codes, (..., C), float64, from uniform noise, (..., C)."""
        u = noise.double() + HALF_STEP
        axes, levels = (self._constant(k) for k in ("on_axis", "with_logits"))
        v = u[..., axes]
        is_marginal = v < EPSILON
        v = torch.where(is_marginal, v / EPSILON, (v - EPSILON) / (1 - EPSILON))
        score = torch.special.ndtri(v.clamp(HALF_STEP, 1 - HALF_STEP))
        moved = self.location.double() + self.scale.double() * score
        numbers = self.codes_at(torch.where(is_marginal, score, moved))
        share = self.level_shares.cumsum(dim=-1)
        level = (share <= u[..., levels, None]).sum(dim=-1)
        most = self._constant("n_levels") - 1
        codes = torch.cat([numbers, torch.minimum(level, most).double()], dim=-1)
        return codes[..., self._constant("order")]

    def with_gaps(self, codes: Tensor, noise: Tensor) -> Tensor:
        """Return drawn codes, (..., C), NaN where uniform noise, (..., B), has gaps."""
        if self.missing is None:
            return codes
        return torch.where(self.missing.draw(codes, noise), torch.nan, codes)

    @staticmethod
    def in_support(x: Tensor) -> Tensor:
        return torch.isfinite(x)

    def _numbers(self) -> Indicators:
        """Return moments of the columns with an axis, (..., S)."""
        nodes, weights = (one.to(self.parameters.device) for one in normal_nodes())
        location, scale = self.location.double(), self.scale.double()
        x = self.codes_at(location[..., None, :] + scale[..., None, :] * nodes)
        # Not a matrix product: its rounding may depend on the number of rows.
        mean, square = (weights * x).sum(dim=-2), (weights * x.square()).sum(dim=-2)
        own, own_variance = self.marginals.curves.moments()
        mixed = (1 - EPSILON) * mean + EPSILON * own
        both = (1 - EPSILON) * square + EPSILON * (own_variance + own.square())
        return Indicators(mixed, (both - mixed.square()).clamp(min=0))

    def codes_at(self, score: Tensor) -> Tensor:
        """Return codes of scores, (..., S), float64, to the farthest of a marginal."""
        score = score.clamp(-_FARTHEST, _FARTHEST)
        below, above = normal_cdf(score), normal_cdf(-score)
        rows = (score.shape[:-1].numel(), score.shape[-1])  # which may be of no columns
        codes = self.marginals.codes_of(below.reshape(rows), above.reshape(rows))
        return codes.reshape(score.shape)

    def _constant(self, name: str) -> Tensor:
        return self.layout.tensor(name, self.parameters.device)


def _narrow(t: Tensor, log_half: Tensor) -> Tensor:
    """Return log Phi(t + h) - Phi(t - h) for small h, density times width."""
    half = log_half.exp()
    return log_phi(t) + math.log(2) + log_half + log_sinhc(t * half) - half**2 / 6


def _wide(t: Tensor, half: Tensor) -> Tensor:
    """Return log Phi(t + h) - Phi(t - h), from the tail in which it does not cancel."""
    far = -t.abs() - half  # both edges mirrored, so that the farther one is negative
    near = far + 2 * half
    is_around_zero = near > 0
    # The inner wheres keep the gradient of the branch not taken finite.
    b = torch.where(is_around_zero, 0.0, near)
    decay = torch.exp(-0.5 * (far - b) * (far + b))
    one_tail = -0.5 * b.square() + torch.log(
        0.5 * (erfcx(-b * _HALF_ROOT) - erfcx(-far * _HALF_ROOT) * decay)
    )
    c = torch.where(is_around_zero, near, 1.0)
    two_tails = torch.log(0.5 * (erf(c * _HALF_ROOT) - erf(far * _HALF_ROOT)))
    return torch.where(is_around_zero, two_tails, one_tail)


def initial_parameters(marginals: Marginals) -> Tensor:
    """Return parameters for which every cell has its marginal probability, (P,)."""
    layout = marginals.layout
    is_level = layout.tensor("is_level", marginals.shares.device)
    logits = marginals.shares[is_level].log()
    return torch.cat([logits.new_zeros(2 * len(layout.on_axis)), logits]).float()
