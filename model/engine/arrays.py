"""
The inputs and results of the engine: float32 arrays, one row per example.

Data in the units of a standardized model are float64.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
AnyArray = NDArray[Any]  # float32, or float64
Mask = NDArray[np.bool_]


class Encoding(NamedTuple):
    """q(z|x): mu and log_var, (N, J)."""

    mu: Array
    log_var: Array


class Decoding(NamedTuple):
    """p(x|z): mean, (N, D), and log_var, (N, D), if the likelihood has one."""

    mean: AnyArray
    log_var: AnyArray | None = None


class CellArrays(NamedTuple):
    """
    The distributions of a table's cells, float64, see `model.tables.parameters`.

    Attributes:
        mean: (N, C).
        variance: (N, C).
        quantiles: (N, Q, C).
        probabilities: (N, L).
        missing: (N, C), or (N, 0).
    """

    mean: AnyArray
    variance: AnyArray
    quantiles: AnyArray
    probabilities: AnyArray
    missing: AnyArray


class Draws(NamedTuple):
    """Draws from the model: x, (n, D), and the latents they come from, z, (n, J)."""

    x: AnyArray
    z: Array


class Moments(NamedTuple):
    """Mean and standard deviation of each p(z_j), (J,), float64."""

    mean: NDArray[np.float64]
    standard_deviation: NDArray[np.float64]


class RowScores(NamedTuple):
    """
    The terms of the ELBO in nats.

    Attributes:
        log_likelihood: log p(x|z) of each draw, (N, K).
        kl: If `Engine.kl_adds_up`, KL(q(z_j|x) || p(z_j)) of each dimension, (N, J);
            else an unbiased estimate of KL(q(z|x) || p(z)) from each draw, (N, K).
    """

    log_likelihood: Array
    kl: Array
