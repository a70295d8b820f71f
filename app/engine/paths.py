"""Paths in latent space as numpy arrays; decoding them is left to the batcher."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from app.engine.arrays import Array
from model import interpolation
from model.held_out import AggregateQuantiles

Quantiles = NDArray[np.float64]

_PATHS = {"straight": interpolation.line, "great_circle": interpolation.great_circle}


def interpolated(
    ends: Array, n: int, path: Literal["straight", "great_circle"]
) -> Array:
    """Return n points from the first to the second of two latents, (2, J) to (n, J)."""
    start, end = torch.from_numpy(np.array(ends))
    t = torch.linspace(0, 1, n, dtype=torch.float64)
    z: Array = _PATHS[path](start, end, t).numpy()
    return z


def traversed(base: Array, dims: Sequence[int], values: Quantiles) -> Array:
    """Move a latent, (J,), along dims through values, (J, n); (len(dims), n, J)."""
    z, quantiles = torch.from_numpy(np.array(base)), torch.from_numpy(values)
    paths = [interpolation.traverse(z, dim, quantiles) for dim in dims]
    found: Array = torch.stack(paths).numpy()
    return found


def prior_quantiles(levels: Quantiles, latent_dim: int) -> Quantiles:
    """Return those of the prior, (J, n), at levels in (0, 1), (n,)."""
    found = interpolation.prior_quantiles(torch.from_numpy(levels), latent_dim)
    values: Quantiles = found.contiguous().numpy()
    return values


def aggregate_quantiles(levels: Quantiles, aggregate: AggregateQuantiles) -> Quantiles:
    """
    Return those of the aggregate posterior, (J, n), as a checkpoint has it.

    Raises:
        ValueError: A level is outside those that it has.
    """
    known = torch.from_numpy(aggregate.values), torch.from_numpy(aggregate.levels)
    found = interpolation.between_quantiles(*known, torch.from_numpy(levels))
    values: Quantiles = found.numpy()
    return values
