"""
Fit what a VAE has to beat: a full Gaussian, and factor analysis.

Both are laws u = mean + W z + noise with z ~ N(0, I) and independent noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

MAX_FULL = 512  # columns, for a full covariance
_EIGH = 64  # up to so many columns, all eigenvectors are computed
_MAX_ROWS, _MAX_VALUES = 20_000, 1 << 24  # of the training rows that are used
_TOLERANCE = 1e-6  # nats
_POWERS = 2  # subspace iterations per step
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_FACTORS_OF_WIDE = (1, 8, 32)  # with more than MAX_FULL columns
_SHRINKAGES = (0.03, 0.1, 0.3)  # of the correlations, as further starts


@final
@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """
    p(u) = N(u; mean, W W^T + diag(variance)), (D,).

    Attributes:
        name: "full Gaussian" or "factor analysis, 3 factors".
        mean: (D,).
        loadings: W, (D, k).
        variance: Of the noise, (D,).
    """

    name: str
    mean: Matrix
    loadings: Matrix
    variance: Matrix

    @property
    def n_factors(self) -> int:
        """The number of factors that are not zero, k."""
        return int((self.loadings != 0).any(axis=0).sum())

    def log_prob(self, u: Matrix) -> Matrix:
        """Return log p(u) of each row of u, (N, D), in nats, (N,)."""
        # Matrix determinant lemma and Woodbury: k x k matrices only.
        a = self.loadings / np.sqrt(self.variance)[:, None]  # (D, k)
        root = np.linalg.cholesky(np.eye(a.shape[1]) + a.T @ a)
        u = (u - self.mean) / np.sqrt(self.variance)
        explained = np.linalg.solve(root, a.T @ u.T)  # (k, N)
        distance = (u**2).sum(axis=1) - (explained**2).sum(axis=0)
        log_det = np.log(self.variance).sum() + 2 * np.log(np.diag(root)).sum()
        found: Matrix = -0.5 * (
            len(self.mean) * math.log(2 * math.pi) + log_det + distance
        )
        return found


@final
@dataclass(frozen=True, eq=False)
class Baselines:
    """
    Fitted baselines, in the units of the network.

    Attributes:
        factor_analysis: With the number of factors that is best on validation.
        full_gaussian: None with too few rows or too many columns for it.
        starts: These, and further ones to start training from.
    """

    factor_analysis: LinearGaussian
    full_gaussian: LinearGaussian | None
    starts: tuple[LinearGaussian, ...]

    @property
    def all(self) -> tuple[LinearGaussian, ...]:
        """The baselines there are."""
        full = () if self.full_gaussian is None else (self.full_gaussian,)
        return (*full, self.factor_analysis)


def fit_baselines(
    train: NDArray[Any], validation: Matrix, *, floor: float, max_factors: int
) -> Baselines:
    """
    Fit both to training rows, (N, D); validation rows select the number of factors.

    Args:
        floor: Smallest standard deviation of the noise, that of the VAE's decoder.
        max_factors: The largest number of factors.
    """
    n, d = train.shape
    rows = np.linspace(0, n - 1, min(n, _MAX_ROWS, max(1000, _MAX_VALUES // d)))
    sample = train[np.unique(rows.astype(np.int64))].astype(np.float64)
    mean = sample.mean(axis=0)
    centered = sample - mean
    factors = _best_factors(centered, mean, validation, floor, max_factors)
    full = None
    starts = list(factors)
    if d <= MAX_FULL and len(sample) > d:
        covariance = centered.T @ centered / len(centered)
        full = full_gaussian(mean, covariance, floor=floor)
        starts.append(full)
        for share in _SHRINKAGES:
            shrunk = (1 - share) * covariance + share * np.diag(np.diag(covariance))
            law = full_gaussian(mean, shrunk, floor=floor)
            starts.append(replace(law, name=f"a full Gaussian shrunk by {share:g}"))
    best = max(factors, key=lambda law: law.log_prob(validation).mean())
    return Baselines(best, full, tuple(starts))


def best_start(
    laws: Sequence[LinearGaussian], validation: Matrix, *, max_factors: int
) -> LinearGaussian:
    """Return the law that is best on validation, with so many factors or fewer."""
    possible = [law for law in laws if law.n_factors <= max_factors] or [laws[0]]
    return max(possible, key=lambda law: law.log_prob(validation).mean())


def full_gaussian(mean: Matrix, covariance: Matrix, *, floor: float) -> LinearGaussian:
    """
    Write N(mean, covariance) as factors and independent noise, exactly.

    The noise is t / diag(covariance^-1) with the largest t that leaves the rest
    positive semidefinite, so one factor fewer than columns is sufficient.
    """
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1.01 * floor**2)
    covariance = (vectors * values) @ vectors.T
    precision = ((vectors**2) / values).sum(axis=1)  # diagonal of the inverse
    scaled = covariance * np.sqrt(np.outer(precision, precision))
    t = np.linalg.eigvalsh(scaled)[0]
    variance = np.maximum(t / precision, floor**2)
    values, vectors = np.linalg.eigh(covariance - np.diag(variance))
    rest = np.where(values > 1e-9 * values[-1], values, 0.0)
    return LinearGaussian("full Gaussian", mean, vectors * np.sqrt(rest), variance)


def _best_factors(
    centered: Matrix, mean: Matrix, validation: Matrix, floor: float, max_factors: int
) -> list[LinearGaussian]:
    """Fit more and more factors until validation has fallen twice."""
    n, d = centered.shape
    found: list[LinearGaussian] = []
    scores: list[float] = []
    for k in _FACTORS if d <= MAX_FULL else _FACTORS_OF_WIDE:
        if found and k > min(max_factors, d - 1, n // 2):
            break
        law = _factor_analysis(centered, mean, min(k, d), floor)
        found.append(law)
        scores.append(float(law.log_prob(validation).mean()))
        if len(scores) > 2 and max(scores[-2:]) < max(scores):
            break
    return found


def _factor_analysis(
    centered: Matrix, mean: Matrix, k: int, floor: float
) -> LinearGaussian:
    """
    Fit factor analysis by maximum likelihood (Joreskog 1967).

    For given noise the best loadings are the top eigenvectors of the covariance of the
    data in units of the noise; the noise is what they leave of each variance.
    """
    variances = np.maximum((centered**2).mean(axis=0), floor**2)
    noise = np.maximum(0.5 * variances, floor**2)
    top = _Top(centered, k)
    before = -math.inf
    for _ in range(_n_iterations(len(mean))):
        values, vectors = top.eigen(noise)
        excess = np.maximum(values - 1, 0)
        loadings = vectors * np.sqrt(excess) * np.sqrt(noise)[:, None]
        # Twice the log-likelihood, up to a constant (Lawley & Maxwell 1971).
        at = -float(
            np.log(noise).sum()
            + (variances / noise).sum()
            + (np.log1p(excess) - excess).sum()
        )
        if at - before < _TOLERANCE:
            break
        before = at
        noise = np.maximum(variances - (loadings**2).sum(axis=1), floor**2)
    name = f"factor analysis, {k} factor{'s' * (k != 1)}"
    return LinearGaussian(name, mean, loadings, noise)


def _n_iterations(d: int) -> int:
    """Return the most iterations for D columns, which take seconds in all."""
    if d <= _EIGH:
        return 300
    return 100 if d <= MAX_FULL else 20


class _Top:
    """The largest eigenvalues of the covariance of rows in units of the noise."""

    def __init__(self, centered: Matrix, k: int) -> None:
        n, d = centered.shape
        self._k = k
        self._small = d <= _EIGH
        # d rows are as good as n for the covariance.
        rows: Matrix = np.linalg.qr(centered)[1] if n > d else centered
        self._rows = rows / math.sqrt(n)
        self._vectors = np.random.Generator(np.random.Philox(0)).normal(size=(d, k + 4))

    def eigen(self, noise: Matrix) -> tuple[Matrix, Matrix]:
        """Return k eigenvalues and their vectors, (k,) and (D, k)."""
        a = self._rows / np.sqrt(noise)
        if self._small:
            values, vectors = np.linalg.eigh(a.T @ a)
            return values[: -self._k - 1 : -1], vectors[:, : -self._k - 1 : -1]
        # Subspace iteration, from the vectors of the call before.
        basis = self._vectors
        for _ in range(_POWERS):
            basis, _ = np.linalg.qr(a.T @ (a @ basis))
        _, singular, right = np.linalg.svd(a @ basis, full_matrices=False)
        self._vectors = basis @ right.T
        return singular[: self._k] ** 2, self._vectors[:, : self._k]
