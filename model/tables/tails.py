"""How far out in the marginals of their columns the cells of a row are."""

import math

import torch
from torch import Tensor

from model.tables.curves import normal_cdf
from model.tables.layout import Planes
from model.tables.marginals import Marginals


def tail_p_values(marginals: Marginals, x: Tensor) -> Tensor:
    """
    Return a p-value of each cell under its marginal, (N, C), NaN where it is missing.

    Of a number or an ordered category it is two-sided, min(1, 2 min(P(X <= x),
    P(X >= x))) with the whole cell of x in both, so that it is exact where values
    repeat; of another category the probability of all that are at most as frequent.
    Under the marginal, P(p <= a) <= a for every a.

    Args:
        x: Rows of a table in the model's units, (N, 5 C).
    """
    planes = Planes.of(x)
    order = marginals.layout.tensor("order", x.device)
    both = [_of_axes(marginals, planes), _of_levels(marginals, planes)]
    found = torch.cat(both, dim=-1)[..., order].clamp(max=1)
    return torch.where(planes.known, found, math.nan)


def _of_axes(marginals: Marginals, planes: Planes) -> Tensor:
    """Return the p-values of the columns with an axis, (N, S), float64."""
    index = marginals.layout.tensor("on_axis", planes.value.device)
    middle = planes.middle[..., index].double()
    half = 0.5 * planes.log_width[..., index].double().exp()
    # The smaller tail with its cell: P(X >= x) from its lower edge, by symmetry.
    found: Tensor = 2 * normal_cdf(half - middle.abs())
    return found


def _of_levels(marginals: Marginals, planes: Planes) -> Tensor:
    """Return the p-values of the other columns, (N, L), float64."""
    shares = marginals.shares  # (L, most), 0 where there is no category
    is_rarer = shares[:, None, :] <= shares[:, :, None]
    total = (is_rarer * shares[:, None, :]).sum(dim=-1)  # (L, most)
    index = marginals.layout.tensor("with_logits", planes.value.device)
    level = planes.value[..., index].long()
    return torch.gather(total, 1, level.T).T


def extremeness(marginals: Marginals, p_values: Tensor) -> Tensor:
    """
    Return -log p of numbers and ordered categories, (N, C), 0 of other cells.

    A rare category is rare, but not out of range; a missing cell is neither.
    """
    found = torch.zeros_like(p_values)
    index = marginals.layout.tensor("on_axis", p_values.device)
    found[..., index] = -p_values[..., index].nan_to_num(1.0).log()
    return found


def log_shares(x: Tensor) -> Tensor:
    """Return sum_j log p(x_j) of the known cells under their marginals, (N,)."""
    return Planes.of(x).log_share.sum(dim=-1, dtype=torch.float64)
