"""Marginals with a formula: normal, Student, log-normal, negative binomial, levels."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray

from model.tables.curves import normal_cdf
from model.tables.schema import Kind, TableColumn

Float = NDArray[np.float64]

_N_KNOTS = 2049
_REACH = 8.0  # standard deviations of the outer knots
_TAIL = 1e-9
_SMOOTHING = 0.5  # added to the count of each level
_MAX_COUNT = 1 << 14
_DISPERSIONS = np.logspace(-3, 6, 181)
_MAD = 0.7407  # of Student's t with 4 degrees of freedom


@final
class KnotCurve(NamedTuple):
    """F of one column, as in `Curves`: knots, (K,), and masses, (K + 1,)."""

    knots: Float
    masses: Float

    @classmethod
    def of(
        cls, knots: Float, below: Float, *, lower: float, upper: float
    ) -> "KnotCurve":
        """Return a curve with F at the knots, up to a factor, and two tails."""
        inside = np.diff(below)
        inside = inside / inside.sum() * (1 - lower - upper)
        return cls(knots, np.concatenate([[lower], inside, [upper]]))


def normal(column: TableColumn, x: Float) -> KnotCurve:
    """Fit N(mean, variance)."""
    mean, deviation = _mean_and_deviation(x, column.width)
    t = np.linspace(-_REACH, _REACH, _N_KNOTS)
    below = normal_cdf(torch.from_numpy(t)).numpy()
    return KnotCurve.of(mean + deviation * t, below, lower=_TAIL, upper=_TAIL)


def student(column: TableColumn, x: Float) -> KnotCurve:
    """Fit Student's t with 4 degrees of freedom by median and absolute deviation."""
    middle = float(np.median(x)) if len(x) else 0.0
    scale = float(np.median(np.abs(x - middle))) / _MAD if len(x) else 1.0
    t = np.sinh(np.linspace(-6, 6, _N_KNOTS))
    u = 1 / np.sqrt(1 + t**2 / 4)
    below = 0.5 + 0.375 * t * u * (1 - (t * u) ** 2 / 12)
    scale = scale or column.width
    return KnotCurve.of(middle + scale * t, below, lower=_TAIL, upper=_TAIL)


def lognormal(column: TableColumn, x: Float) -> KnotCurve:
    """Fit log x ~ N(mean, variance); what is not positive counts as half a cell."""
    log_x = np.log(np.maximum(x, column.width / 2))
    mean, deviation = _mean_and_deviation(log_x, 0.1)
    t = np.linspace(-_REACH, _REACH, _N_KNOTS)
    below = normal_cdf(torch.from_numpy(t)).numpy()
    knots = np.append(0.0, np.exp(np.clip(mean + deviation * t, -700, 700)))
    return KnotCurve.of(knots, np.append(0.0, below), lower=0.0, upper=_TAIL)


def negative_binomial(column: TableColumn, x: Float) -> KnotCurve:
    """Fit the negative binomial of the same mean and the best dispersion."""
    counts = np.round(np.maximum(x, 0.0)).astype(np.float64)
    counts = counts if len(counts) else np.zeros(1)
    mean = max(float(counts.mean()), 0.5 / len(counts))
    values, times = np.unique(counts, return_counts=True)
    values = values.astype(np.float64)
    scores = [
        float(times @ log_negative_binomial(values, mean, r)) for r in _DISPERSIONS
    ]
    r = float(_DISPERSIONS[int(np.argmax(scores))])
    deviation = math.sqrt(mean + mean**2 / r)
    most = int(min(max(mean + 20 * deviation, counts.max() + 1), _MAX_COUNT))
    share = np.exp(log_negative_binomial(np.arange(most + 1.0), mean, r))
    upper = max(1 - float(share.sum()), _TAIL)
    below = np.cumsum(np.append(0.0, share)).astype(np.float64)
    return KnotCurve.of(np.arange(most + 2.0) - 0.5, below, lower=0.0, upper=upper)


def levels(column: TableColumn, x: Float) -> KnotCurve:
    """Fit the shares of ordered categories."""
    counts = np.bincount(x.astype(np.int64), minlength=column.n_levels) + _SMOOTHING
    below = np.cumsum(np.append(0.0, counts)).astype(np.float64)
    return KnotCurve.of(np.arange(float(len(below))) - 0.5, below, lower=0.0, upper=0.0)


def log_negative_binomial(k: Float, mean: float, r: float) -> Float:
    """Return log of Gamma(k + r) / (k! Gamma(r)) (r / (r + m))^r (m / (r + m))^k."""
    value = torch.from_numpy(k)
    log_share: Float = (
        torch.lgamma(value + r)
        - torch.lgamma(value + 1)
        - math.lgamma(r)
        + r * -math.log1p(mean / r)
        + value * (math.log(mean) - math.log(r + mean))
    ).numpy()
    return log_share


def _mean_and_deviation(x: Float, least: float) -> tuple[float, float]:
    if not len(x):
        return 0.0, 1.0
    return float(x.mean()), float(x.std()) or least


FORMULAS: Mapping[Kind, Callable[[TableColumn, Float], KnotCurve]] = MappingProxyType(
    {
        "real": normal,
        "student": student,
        "lognormal": lognormal,
        "count": negative_binomial,
        "ordinal": levels,
    }
)
