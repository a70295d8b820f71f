"""What the encoder of a table sees: normal scores, categories and which are known."""

from typing import final

import torch
from torch import Tensor, nn

from model.tables.layout import Planes, TableLayout


@final
class TableFeatures(nn.Module):
    """
    The first layer of an encoder of tables, x, (N, 5 C), to features, (N, F).

    A column with an axis has its normal score, one with logits an indicator for each
    category; both are 0 where the cell is missing. Then comes a bit for each column,
    1 where the cell is known. It has no parameters.
    """

    def __init__(self, layout: TableLayout) -> None:
        super().__init__()
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        planes = Planes.of(x)
        column, level = (
            self.layout.tensor(name, x.device)
            for name in ("feature_column", "feature_level")
        )
        known = planes.known.to(x.dtype)
        value = planes.value[..., column]
        shown = torch.where(level < 0, value, (value == level).to(x.dtype))
        return torch.cat([shown * known[..., column], known], dim=-1)
