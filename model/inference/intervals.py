"""Intervals of the missing cells of a table, from weighted draws of z."""

from typing import NamedTuple

import torch
from torch import Tensor

from model.inference.imputation import WeightedSquares
from model.inference.latents import Latents
from model.inference.pauses import pause
from model.inference.proposals import pairs_at_once
from model.tables.curves import normal_cdf, normal_scores
from model.tables.likelihood import EPSILON, Table
from model.tables.marginals import Marginals
from model.vae import VAE

_N_HALVINGS = 40  # of an interval between two normal scores


class CellIntervals(NamedTuple):
    """
    The middle part of p(x_j | x_o) for numbers and ordered categories, float64.

    All is NaN for categories without an order and where x is observed.

    Attributes:
        low: The code at the quantile (1 - level) / 2, (N, C).
        high: The code at the quantile (1 + level) / 2, (N, C).
        probability: That a cell lies between them, both included, (N, C); at least
            `level`, and more where values repeat.
        probability_standard_error: Of chance in the draws of z, (N, C).
    """

    low: Tensor
    high: Tensor
    probability: Tensor
    probability_standard_error: Tensor


@torch.no_grad()
def cell_intervals(
    vae: VAE, observed: Tensor, given: Latents, *, level: float
) -> CellIntervals:
    """
    Return the interval of every missing cell of rows of a table.

    p(x_j | x_o) is the weighted mean of p(x_j|z) over the draws of z. Its distribution
    function is known, so that quantiles have no noise but that of these draws.

    Args:
        observed: True where x is known, bool, (N, C).
        given: The result of `latents` for the same rows.
        level: The probability of the interval, in (0, 1).

    Raises:
        ValueError: The model is not of a table.
    """
    if (marginals := vae.marginals) is None:
        raise ValueError("expected a model of a table")
    index = marginals.layout.tensor("on_axis", observed.device)
    found = given.z.new_full((4, *observed.shape), torch.nan)
    for i in range(observed.shape[0]):
        mixture = _Mixture(vae, given.z[:, i], given.log_weights[:, i].exp())
        found[:, i, index] = torch.stack(_interval(mixture, marginals, level))
    return CellIntervals(*torch.where(observed, torch.nan, found))


def _interval(mixture: "_Mixture", marginals: Marginals, level: float) -> list[Tensor]:
    """Return the fields of `CellIntervals` for one row, (S,) each."""
    outside = 0.5 * (1 - level)
    scores = mixture.quantiles([outside, 1 - outside])  # (2, S)
    ends = marginals.codes_of(normal_cdf(scores), normal_cdf(-scores))
    half = 0.5 * marginals.layout.tensor("axis_width", ends.device)
    edges = torch.stack([ends[0] - half, ends[1] + half])
    return [*ends, *mixture.between(normal_scores(*marginals.curves.parts(edges)))]


class _Mixture:
    """The distribution of a row's normal scores, given what is known of the row."""

    def __init__(self, vae: VAE, z: Tensor, weights: Tensor) -> None:
        """Decode z, (K, J), with weights that sum to 1, (K,)."""
        self._size = pairs_at_once(vae)
        dtype = next(vae.parameters()).dtype
        parts = [vae.decode(part.to(dtype)) for part in torch.split(z, self._size)]
        tables = [p_x for p_x in parts if isinstance(p_x, Table)]
        self._location = torch.cat([p_x.location for p_x in tables])  # (K, S)
        self._scale = torch.cat([p_x.scale for p_x in tables])
        self._weights = weights

    def quantiles(self, shares: list[float]) -> Tensor:
        """Return scores below which the distribution has these shares, (Q, S)."""
        u = self._weights.new_tensor(shares)[:, None]
        own: Tensor = torch.special.ndtri(u)
        # They lie between the extremes of the quantiles of all draws, and of N(0, 1).
        low = high = own.expand(-1, self._location.shape[1])
        for _, m, s in self._portions():
            moved = m[:, None] + s[:, None] * own
            low = torch.minimum(low, moved.amin(dim=0))
            high = torch.maximum(high, moved.amax(dim=0))
        for _ in range(_N_HALVINGS):
            middle = 0.5 * (low + high)
            is_below = self._below(middle) < u
            low = torch.where(is_below, middle, low)
            high = torch.where(is_below, high, middle)
        return high

    def between(self, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability between two edges, (2, S), and its error, (S,)."""
        a, b = edges
        mean = self._below(b) - self._below(a)
        own = EPSILON * (normal_cdf(b) - normal_cdf(a))
        squares = WeightedSquares(torch.zeros_like(mean))
        for w, m, s in self._portions():
            inside = normal_cdf((b - m) / s) - normal_cdf((a - m) / s)
            squares.add(w, (1 - EPSILON) * inside + own - mean)
        correction = 1 / (1 - self._weights.square().sum()).clamp(min=0.1)
        return mean.clamp(max=1), squares.standard_error(correction)

    def _below(self, score: Tensor) -> Tensor:
        """Return the probability below scores, (..., S)."""
        pause()
        total: Tensor = EPSILON * normal_cdf(score)
        for w, m, s in self._portions():
            share = normal_cdf((score[..., None, :] - m) / s)
            total = total + (1 - EPSILON) * (w[:, None] * share).sum(dim=-2)
        return total

    def _portions(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return weights, (k,), locations and scales, (k, S), of some draws each."""
        columns = (self._weights, self._location, self._scale)
        parts = (torch.split(column, self._size) for column in columns)
        return [(w, m.double(), s.double()) for w, m, s in zip(*parts, strict=True)]
