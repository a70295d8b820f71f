"""The marginals of a table's columns among the weights, and codes in terms of them."""

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.distributions import log_sinhc
from model.exact_buffers import ExactBuffers
from model.tables.curves import Curves, log_phi, normal_scores
from model.tables.layout import TableLayout
from model.tables.schema import Codes, TableSchema

# The largest half width, in standard deviations, of a cell that is integrated as a
# density times a width.
NARROW = 0.02
_WHOLE = 1e-12
_MOST_STEPS = 2.0**53


@final
class CodeError(ValueError):
    """
    A column cannot have a code.

    Attributes:
        index: Its row and column.
        wanted: What was expected, in words.
    """

    def __init__(
        self, index: tuple[int, int], name: str, wanted: str, code: float
    ) -> None:
        n, _ = index
        super().__init__(f"row {n}, column {name!r}: expected {wanted}, got {code:g}")
        self.index = index
        self.wanted = wanted


@final
class Marginals(ExactBuffers):
    """
    F of every column with an axis, and the shares of every category.

    They are buffers in float64, not parameters: training computes them from its rows.

    Attributes:
        knots, masses: See `Curves`, (S, K) and (S, K + 1).
        shares: The probability of each category, and last of an unseen one, of each
            column with logits, (L, most_levels); 0 where there is no category.
    """

    knots: Tensor
    masses: Tensor
    shares: Tensor

    def __init__(self, schema: TableSchema) -> None:
        super().__init__()
        self.layout = TableLayout(schema)
        n_axes, n_knots = len(self.layout.on_axis), schema.n_knots
        tables = (len(self.layout.with_logits), self.layout.most_levels)
        for name, shape in (
            ("knots", (n_axes, n_knots)),
            ("masses", (n_axes, n_knots + 1)),
            ("shares", tables),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self._curves: Curves | None = None

    @property
    def curves(self) -> Curves:
        """The distributions of the columns with an axis."""
        known = self._curves
        if known is None or known.knots is not self.knots:
            known = self._curves = Curves(self.knots, self.masses)
        return known

    def set(self, knots: Codes, masses: Codes, shares: Codes) -> None:
        """Take the values that training computed."""
        self.knots = torch.from_numpy(knots).to(self.knots.device)
        self.masses = torch.from_numpy(masses).to(self.masses.device)
        self.shares = torch.from_numpy(shares).to(self.shares.device)

    def x_of(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        """
        Return x for codes, (N, C): (N, 5 C), see `model.tables.layout`.

        Numbers are rounded to the resolution of their column.

        Raises:
            CodeError: A code is infinite, or is no category of its column.
        """
        # Writable, because torch warns of arrays that lie in a request's bytes.
        own = np.require(codes, np.float64, ["C", "W"])
        values = torch.from_numpy(own).to(self.knots.device)
        self._check(values)
        known = ~values.isnan()
        planes = values.new_zeros(5, *values.shape)
        if len(self.layout.on_axis):
            index = self.layout.tensor("on_axis", values.device)
            planes[:4, :, index] = self._cells(values[:, index].nan_to_num(0.0))
        if len(self.layout.with_logits):
            index = self.layout.tensor("with_logits", values.device)
            level = values[:, index].nan_to_num(0.0)
            share = torch.gather(self.shares, 1, level.T.long()).T
            planes[0, :, index] = level
            planes[3, :, index] = share.log()
        planes[4] = 1
        planes = torch.where(known, planes, 0.0)
        found: NDArray[np.float32] = (
            planes.transpose(0, 1).flatten(1).float().cpu().numpy()
        )
        return found

    def codes_of(self, below: Tensor, above: Tensor) -> Tensor:
        """Return the codes of the cells in which quantiles lie, (N, S), float64."""
        x = self.curves.quantiles(below, above)
        width = self.layout.tensor("axis_width", x.device)
        inverse = torch.round(1 / width)
        # By a whole divisor where there is one: 3 / 10 is 0.3, 3 * 0.1 is not.
        is_whole = (inverse * width - 1).abs() < _WHOLE
        steps = torch.round(x / width)
        codes = torch.where(is_whole, steps / inverse, steps * width)
        low, high = self.layout.tensor("axis_limits", x.device).unbind(dim=1)
        return torch.minimum(torch.maximum(codes, low), high) + 0.0

    def _cells(self, x: Tensor) -> Tensor:
        """Return value, middle, log width and log share of numbers, (4, N, S)."""
        width = self.layout.tensor("axis_width", x.device)
        steps = torch.round(x / width)
        low, high = (steps - 0.5) * width, (steps + 0.5) * width
        # Here numbers are farther apart than cells, and steps may overflow.
        is_far = steps.abs() >= _MOST_STEPS
        low, high = torch.where(is_far, x, low), torch.where(is_far, x, high)
        n = len(x)
        below, above, log_share = self.curves.intervals(low, high, width)
        scores = normal_scores(below, above)
        a, b = scores[:n], scores[n:]
        value = normal_scores(
            0.5 * (below[:n] + below[n:]), 0.5 * (above[:n] + above[n:])
        )
        middle, half = 0.5 * (a + b), 0.5 * (b - a)
        # The width for which density times width is exactly the share.
        narrow = log_share - log_phi(middle) - log_sinhc(middle * half) + half**2 / 6
        log_width = torch.where(
            half < NARROW, narrow, (2 * half).clamp(min=NARROW).log()
        )
        return torch.stack([value, middle, log_width, log_share])

    def _check(self, codes: Tensor) -> None:
        """Check that codes, (N, C), are numbers, categories or NaN."""
        n_codes = self.layout.tensor("n_codes", codes.device)
        is_level = (codes >= 0) & (codes < n_codes) & (codes == codes.floor())
        is_good = torch.where(n_codes > 0, is_level, codes.isfinite()) | codes.isnan()
        if not is_good.all():
            n, j = (~is_good).nonzero()[0].tolist()
            column, code = self.layout.schema.columns[j], codes[n, j].item()
            wanted = (
                f"a category from 0 to {int(n_codes[j]) - 1}"
                if column.has_levels
                else "a finite number"
            )
            wanted = f"{wanted}, or NaN if it is missing"
            raise CodeError((n, j), column.name, wanted, code)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._curves = None
