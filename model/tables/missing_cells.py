"""p(m|z, x): which cells of a row are missing, given z and the cells it would have."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from model.layers import Linear
from model.noise import HALF_STEP
from model.tables.missing_layout import MissingLayout
from model.tables.missing_sets import MissingSet
from model.tables.schema import TableSchema


@final
class MissingCells(nn.Module):
    """
    A head of the decoder of a table: logits for the patterns of missing cells.

    Attributes:
        log_share: The logarithm of the share of each pattern among the training rows
            of each group, (B, G, K), see `MissingLayout`.
    """

    log_share: Tensor

    def __init__(
        self, schema: TableSchema, sets: tuple[MissingSet, ...], width: int
    ) -> None:
        super().__init__()
        self.layout = MissingLayout(schema, sets)
        self.head = Linear(width, self.layout.n_outputs)
        self.register_buffer("log_share", torch.zeros(self.layout.shape))

    def reset(self) -> None:
        """Give all patterns of a set the same share."""
        self.log_share.zero_()

    def of(self, eta: Tensor) -> "Missing":
        """Return p(m|z, x) from the output of `head`, (..., O)."""
        return Missing(eta, self)

    def log_shares(self, group: Tensor) -> Tensor:
        """
        Return log shares of patterns in groups, (..., B): (..., B, K), float64.

        They are -inf where there is no pattern.
        """
        sets = torch.arange(group.shape[-1], device=group.device)
        found = self.log_share[sets, group].double()
        return torch.where(self.tensor("is_pattern"), found, -torch.inf)

    def tensor(self, name: str) -> Tensor:
        """Return an array of the layout on the device of the weights."""
        return self.layout.tensor(name, self.log_share.device)


@final
@dataclass(frozen=True, eq=False)
class Missing:
    """
    p(m|z, x), a product over the sets of columns.

    Given z and the group g of a cell of x, the patterns of missing cells of a set have
    the probabilities softmax(log_share[g] + eta).

    Attributes:
        eta: (..., O).
        cells: The head that computed it.
    """

    eta: Tensor
    cells: MissingCells

    def log_patterns(self, group: Tensor) -> Tensor:
        """Return log probabilities of patterns given groups, (..., B): (..., B, K)."""
        logits = self.eta.double()[..., self.cells.tensor("output")]  # (..., B, K)
        return torch.log_softmax(self.cells.log_shares(group) + logits, dim=-1)

    def draw(self, codes: Tensor, noise: Tensor) -> Tensor:
        """
        Draw which cells are missing, bool, (..., C).

        Args:
            codes: The cells that the row would have, (..., C).
            noise: Uniform, (..., B).
        """
        u = noise.double() + HALF_STEP
        given = codes[..., self.cells.tensor("given"), None]
        group = (given > self.cells.tensor("edges")).sum(dim=-1)
        share = self.log_patterns(group).exp().cumsum(dim=-1)
        pattern = (share <= u[..., None]).sum(dim=-1)
        pattern = torch.minimum(pattern, self.cells.tensor("n_patterns") - 1)
        is_missing = self.cells.tensor("is_missing")
        cell = torch.arange(len(is_missing), device=codes.device)
        found = torch.zeros(codes.shape, dtype=torch.bool, device=codes.device)
        found[..., self.cells.tensor("columns")] = is_missing[
            cell, pattern[..., self.cells.tensor("set_of")]
        ]
        return found

    def probability(self, b: int, shares: Tensor) -> Tensor:
        """
        Return the probability that the columns of a set are missing given z, float64.

        Args:
            b: The number of the set.
            shares: Of its G' groups given z, (..., G'), float64.
        """
        layout = self.cells.layout
        n = int(layout.n_patterns[b])
        first = int(layout.output[b, 0])
        log_share = self.cells.log_share[b, : shares.shape[-1], :n].double()
        logits = log_share + self.eta.double()[..., None, first : first + n]
        pattern = (shares[..., None] * torch.softmax(logits, dim=-1)).sum(dim=-2)
        is_missing = self.cells.tensor("is_missing")[layout.set_of == b, :n]
        found = torch.where(is_missing, pattern[..., None, :], 0.0).sum(dim=-1)
        return found.clamp(max=1)
