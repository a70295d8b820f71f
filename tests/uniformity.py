"""The Kolmogorov-Smirnov test of a uniform distribution, without scipy's second."""

import math

import numpy as np
from numpy.typing import ArrayLike


def p_value(values: ArrayLike) -> float:
    """
    Return how probable such a distance from U(0, 1) is, or a larger one.

    It is twice the probability of one side, at most 1: the two sides together are
    rarer than p^2.
    """
    u = np.sort(np.asarray(values, dtype=np.float64))
    n = len(u)
    above = (np.arange(1, n + 1) / n - u).max()
    below = (u - np.arange(n) / n).max()
    return min(1.0, 2 * _one_sided(n, max(above, below)))


def _one_sided(n: int, d: float) -> float:
    """Return P(D+ >= d), exactly (Birnbaum & Tingey 1951, eq. 3.0)."""
    total = 0.0
    for j in range(math.floor(n * (1 - d)) + 1):
        rest = 1 - d - j / n
        if rest > 0:
            log_ways = math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1)
            log_p = (j - 1) * math.log(d + j / n) + (n - j) * math.log(rest)
            total += math.exp(log_ways + log_p)
    return d * total
