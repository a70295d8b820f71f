"""A mean with its standard error, and the area under an ROC curve with its own."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]


class Measured(NamedTuple):
    """A figure and its standard error."""

    value: float
    standard_error: float

    def shown(self, n_decimals: int = 2) -> str:
        """Return both, as `98.10 ± 0.25`."""
        return f"{self.value:.{n_decimals}f} ± {self.standard_error:.{n_decimals}f}"


def mean(values: Values) -> Measured:
    """Return the mean of n independent values, n at least 2."""
    n = len(values)
    return Measured(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n))


def spread(values: Sequence[float]) -> str:
    """Return the mean over training runs and their standard deviation, if several."""
    middle = f"{np.mean(values):.2f}"
    return middle if len(values) < 2 else f"{middle} ± {np.std(values, ddof=1):.2f}"


def auroc(inside: Values, outside: Values) -> Measured:
    """
    Return P(score of an outside row > score of an inside row), ties counting half.

    Its standard error is that of DeLong, DeLong & Clarke-Pearson (1988).

    Args:
        inside: Scores of rows that belong, (n,).
        outside: Scores of rows that do not, (m,).
    """
    of_outside, of_inside = _share_below(inside, outside), _share_below(outside, inside)
    variance = of_outside.var(ddof=1) / len(outside) + of_inside.var(ddof=1) / len(
        inside
    )
    return Measured(float(of_outside.mean()), math.sqrt(float(variance)))


def _share_below(reference: Values, scores: Values) -> NDArray[np.float64]:
    """Return for each score the share of the reference below it, ties half, (n,)."""
    ordered = np.sort(reference)
    twice = np.searchsorted(ordered, scores, side="left") + np.searchsorted(
        ordered, scores, side="right"
    )
    share: NDArray[np.float64] = twice / (2 * len(ordered))
    return share
