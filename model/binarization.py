"""Binarize gray values in [0, 1] to x in {0, 1}, the support of a Bernoulli."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.noise import Stream, uniform_rows


def threshold(x: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """
    Return 1 where x >= 1/2, else 0; x has any shape.

    No 8-bit gray value lies on the boundary (127/255 < 1/2 < 128/255), so for 8-bit
    images this is exactly "gray >= 128".
    """
    return (x >= 0.5).astype(np.float32)


def sample(
    x: NDArray[np.floating[Any]], *, seed: int, first: int = 0
) -> NDArray[np.float32]:
    """
    Draw from Bernoulli(x) with noise from a seed, (N, ...).

    Training and every call of the service use it, so the same seed and gray rows give
    the same binary x everywhere.

    Args:
        first: Position of the first row in the whole data set.
    """
    noise = uniform_rows(x.shape, seed=seed, stream=Stream.BINARIZATION, first=first)
    return bernoulli(x, noise)


def bernoulli(
    x: NDArray[np.floating[Any]], uniform: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """
    Draw from Bernoulli(x), elementwise: 1 where uniform < x, else 0.

    Since the noise is in [0, 1), x = 0 always gives 0 and x = 1 always gives 1.

    Args:
        uniform: Noise in [0, 1), of the same shape as x.

    Raises:
        ValueError: The shapes differ. Broadcasting would give several rows the same
            noise.
    """
    if x.shape != uniform.shape:
        raise ValueError(f"expected uniform noise {x.shape}, got {uniform.shape}")
    return (uniform < x).astype(np.float32)
