"""What p(x|z) of a table says about every cell, in the units of the data."""

from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn.functional import pad

from model.tables.cells import canonical
from model.tables.curves import normal_cdf
from model.tables.likelihood import EPSILON, Summary, Table
from model.tables.missing_sets import MissingSet, edges
from model.tables.schema import TableSchema

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Of an interval between two normal scores: to 1e-12 of its length.
_N_HALVINGS = 40


@final
class CellDistributions(NamedTuple):
    """
    The distributions of the cells of rows, one after the other column.

    Attributes:
        mean: E[x_j|z] of numbers, else the most probable category, (N, C).
        variance: Var[x_j|z] of numbers, else the probability of any other category,
            (N, C).
        quantiles: Codes at `QUANTILES` of numbers and of ordered categories, else NaN,
            (N, Q, C).
        probabilities: Of every category of `level_names`, given that it is one that
            training has seen, (N, L).
        missing: The probability that draws lack the cell, (N, C); (N, 0) for a model
            whose draws lack none.
    """

    mean: Tensor
    variance: Tensor
    quantiles: Tensor
    probabilities: Tensor
    missing: Tensor


def level_names(schema: TableSchema) -> tuple[str, ...]:
    """Return `column=category` for each category of a column that has no order."""
    return tuple(
        f"{column.name}={canonical(category)}"
        for column in schema.columns
        if column.has_logits
        for category in column.categories or ()
    )


def n_distribution_values(schema: TableSchema) -> int:
    """Return how many values `cell_distributions` has for a row."""
    n_columns = len(schema.columns)
    return (2 + len(QUANTILES)) * n_columns + len(level_names(schema))


def cell_distributions(p_x: Table) -> CellDistributions:
    """Return the distributions of cells, float64."""
    mean, variance = p_x.indicators
    summary = Summary(p_x.layout, mean)
    return CellDistributions(
        mean=summary.codes,
        variance=summary.spread(variance),
        quantiles=_quantiles(p_x),
        probabilities=mean[..., len(p_x.layout.on_axis) :],
        missing=_missing(p_x),
    )


def _missing(p_x: Table) -> Tensor:
    """Return sum_g P(g|z) P(missing|z, g) of the groups g of cells, (N, C)."""
    if p_x.missing is None:
        return p_x.parameters.new_empty(len(p_x.parameters), 0, dtype=torch.float64)
    layout = p_x.missing.cells.layout
    found = p_x.level_shares.new_zeros(
        len(p_x.parameters), len(p_x.layout.schema.columns)
    )
    for b, one in enumerate(layout.sets):
        columns = layout.columns[layout.set_of == b].tolist()
        shares = _group_shares(p_x, one, int(layout.given[b]))
        found[:, columns] = p_x.missing.probability(b, shares)
    return found


def _group_shares(p_x: Table, one: MissingSet, j: int) -> Tensor:
    """Return P(g|z) of the groups of the column j, which a set is given, (N, G')."""
    if one.given is None:
        return p_x.level_shares.new_ones(len(p_x.parameters), 1)
    column, place = p_x.layout.schema.columns[j], int(p_x.layout.order[j])
    if column.has_logits:
        of_levels = p_x.level_shares[:, place - len(p_x.layout.on_axis)]
        return of_levels[:, : column.n_levels]
    below = _below(p_x, place, torch.from_numpy(edges(column, one.cuts)))
    return pad(pad(below, (1, 0)), (0, 1), value=1.0).diff(dim=1)


def _below(p_x: Table, place: int, x: Tensor) -> Tensor:
    """Return P(x_j < x|z) for n numbers x of a column on an axis, (N, n)."""
    curves = p_x.marginals.curves
    every = x.new_zeros(len(x), len(curves.knots))
    every[:, place] = x
    score = curves.scores(every.to(curves.knots.device))[:, place]
    m, s = (one.double()[:, place, None] for one in (p_x.location, p_x.scale))
    moved = normal_cdf((score - m) / s)
    found: Tensor = (1 - EPSILON) * moved + EPSILON * normal_cdf(score)
    return found


def _quantiles(p_x: Table) -> Tensor:
    """Return quantiles of the columns with an axis, NaN for the others, (N, Q, C)."""
    m, s = (one.double()[..., None, :] for one in (p_x.location, p_x.scale))
    u = torch.tensor(QUANTILES, dtype=torch.float64, device=m.device)[:, None]
    own = torch.special.ndtri(u)
    moved = m + s * own
    # The score has the distribution (1 - e) N(m, s^2) + e N(0, 1), whose quantiles lie
    # between those of the two.
    low, high = torch.minimum(moved, own), torch.maximum(moved, own)
    for _ in range(_N_HALVINGS):
        middle = 0.5 * (low + high)
        share = (1 - EPSILON) * normal_cdf((middle - m) / s)
        is_below = share + EPSILON * normal_cdf(middle) < u
        low = torch.where(is_below, middle, low)
        high = torch.where(is_below, high, middle)
    n_columns = len(p_x.layout.schema.columns)
    found = high.new_full((*high.shape[:-1], n_columns), torch.nan)
    index = p_x.layout.tensor("on_axis", high.device)
    found[..., index] = p_x.codes_at(high)
    return found
