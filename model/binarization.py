"""Grey values in [0, 1] made binary: the x in {0, 1} that a Bernoulli is for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.noise import Stream, uniform_rows


def threshold(x: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """
    Return 1 where x >= 1/2, else 0, of any shape.

    No 8-bit grey value sits on the boundary, 127/255 < 1/2 < 128/255, so for those
    this is exactly "grey >= 128".
    """
    return (x >= 0.5).astype(np.float32)


def drawn(
    x: NDArray[np.floating[Any]], *, seed: int, first: int = 0
) -> NDArray[np.float32]:
    """
    Draw from Bernoulli(x) with the noise of a seed, (N, ...).

    Training and every call of the service share it, so that one seed makes one x of
    the same grey rows, whatever is asked of it.

    Args:
        first: Position of the first row in its data.
    """
    noise = uniform_rows(x.shape, seed=seed, stream=Stream.BINARIZATION, first=first)
    return bernoulli(x, noise)


def bernoulli(
    x: NDArray[np.floating[Any]], uniform: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """
    Draw from Bernoulli(x), elementwise: 1 where uniform < x, else 0.

    With uniform in [0, 1), x = 0 always gives 0 and x = 1 always gives 1.

    Args:
        uniform: Noise in [0, 1), of the same shape as x.

    Raises:
        ValueError: The shapes differ; broadcasting would share noise between rows.
    """
    if x.shape != uniform.shape:
        raise ValueError(f"expected uniform noise {x.shape}, got {uniform.shape}")
    return (uniform < x).astype(np.float32)
