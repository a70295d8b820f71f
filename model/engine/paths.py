"""Paths in latent space as numpy arrays; the caller decodes them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint.held_out import AggregateQuantiles
from model.engine.arrays import Array
from model.inference import interpolation

Quantiles = NDArray[np.float64]

_PATHS = {"straight": interpolation.line, "great_circle": interpolation.great_circle}


def path_between(
    ends: Array, n: int, path: Literal["straight", "great_circle"]
) -> Array:
    """Return n points, (n, J), from the first to the second of two latents, (2, J)."""
    start, end = torch.from_numpy(np.array(ends))
    t = torch.linspace(0, 1, n, dtype=torch.float64)
    z: Array = _PATHS[path](start, end, t).numpy()
    return z


def paths_along(base: Array, dims: Sequence[int], quantiles: Quantiles) -> Array:
    """
    Move a latent, (J,), along each of `dims`; return (len(dims), n, J).

    Args:
        quantiles: The n values that each of these dimensions takes, (len(dims), n).
    """
    z = torch.from_numpy(np.array(base))
    paths = [
        interpolation.traverse(z, dim, torch.from_numpy(values).expand(len(z), -1))
        for dim, values in zip(dims, np.array(quantiles), strict=True)
    ]
    found: Array = torch.stack(paths).numpy()
    return found


def aggregate_quantiles(levels: Quantiles, aggregate: AggregateQuantiles) -> Quantiles:
    """
    Return quantiles of the aggregate posterior, (J, n), from those of a checkpoint.

    Raises:
        ValueError: A level lies outside the range of levels in the checkpoint.
    """
    known = torch.from_numpy(aggregate.values), torch.from_numpy(aggregate.levels)
    found = interpolation.between_quantiles(*known, torch.from_numpy(levels))
    values: Quantiles = found.numpy()
    return values
