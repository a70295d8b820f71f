"""The ELBO of scored rows, its terms and its standard error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.engine.arrays import AnyArray, Array, RowScores

_ERROR_VALUES = 1 << 14  # draws whose spread is taken at once


class ElboTerms(NamedTuple):
    """
    The ELBO of each example and its terms, in nats: (N,) and (N, J).

    Of a model with units of its own, `elbo` and `log_likelihood` are float64: densities
    in the data's units may be large.

    Attributes:
        elbo_standard_error: Standard error of `elbo` from the K draws; None for K = 1.
        kl_per_dim: None under a learned prior, where the KL is not such a sum.
    """

    elbo: AnyArray
    elbo_standard_error: Array | None
    log_likelihood: AnyArray
    kl: Array
    kl_per_dim: Array | None


def elbo_of(
    scores: RowScores, *, adds_up: bool, log_jacobian: float | None
) -> ElboTerms:
    """
    Return the ELBO of scored rows; the caller checks whether it is finite.

    Args:
        adds_up: Whether the KL is a sum over dimensions, not a mean over draws.
        log_jacobian: As `Engine.log_jacobian`.
    """
    dtype = np.float32 if log_jacobian is None else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        log_likelihood = scores.log_likelihood.mean(axis=1, dtype=np.float64)
        kl = scores.kl.sum(axis=1, dtype=np.float64)
        kl = kl if adds_up else kl / scores.kl.shape[1]
        if log_jacobian is not None:
            log_likelihood += log_jacobian
        return ElboTerms(
            elbo=(log_likelihood - kl).astype(dtype),
            elbo_standard_error=_standard_error(scores, adds_up=adds_up),
            log_likelihood=log_likelihood.astype(dtype),
            kl=kl.astype(np.float32),
            kl_per_dim=scores.kl if adds_up else None,
        )


def concatenate_terms(parts: Sequence[ElboTerms]) -> ElboTerms:
    """Return the terms of rows that were scored in parts, in their order."""
    return ElboTerms._make(
        None if column[0] is None else np.concatenate(column)
        for column in zip(*parts, strict=True)
    )


def _standard_error(scores: RowScores, *, adds_up: bool) -> Array | None:
    """
    Return the standard error of the ELBO, (N,): sd over K draws / sqrt(K).

    A KL that adds up is exact; else each draw has its own estimate of it.
    """
    n_rows, n_samples = scores.log_likelihood.shape
    if n_samples == 1:
        return None
    errors = np.empty(n_rows, np.float32)
    # A few rows at a time: float64 copies of all draws take four times their bytes.
    step = max(1, _ERROR_VALUES // n_samples)
    for start in range(0, n_rows, step):
        rows = slice(start, start + step)
        per_draw = scores.log_likelihood[rows].astype(np.float64)  # (rows, K)
        if not adds_up:
            per_draw -= scores.kl[rows]
        errors[rows] = per_draw.std(axis=1, ddof=1) / n_samples**0.5
    return errors
