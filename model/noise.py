"""
Turn a seed into noise: the only source of randomness in the model and the service.

NumPy's counter-based Philox is keyed by (seed, stream), so streams never overlap, and
numbers are drawn in row order, so row i is the same however many rows are asked for
(Salmon et al. 2011, *Parallel random numbers: as easy as 1, 2, 3*).
"""

from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MAX_SEED = 2**63 - 1


class Stream(IntEnum):
    """What the noise is for; part of the key, never renumbered."""

    LATENT = 0
    DATA = 1
    BINARIZATION = 2
    INITIALIZATION = 3
    ORDER = 4
    SPLIT = 5
    IMPORTANCE = 6
    REFINEMENT = 7
    EVALUATION = 8
    MARKOV_CHAIN = 9
    COMPONENT = 10
    RECONSTRUCTION = 15  # z ~ q(z|x) of `/reconstruct`


def generator(
    seed: int, stream: Stream, major: int = 0, minor: int = 0
) -> np.random.Generator:
    """
    Return the generator of one stream.

    Args:
        seed: 0 to 2^63 - 1.
        major: With `minor`, selects a part of the stream, such as that of an epoch
            and a step; parts lie 2^128 blocks apart in Philox's counter.

    Raises:
        ValueError: The seed is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must lie in 0 to 2^63 - 1, got {seed}")
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed, stream], dtype=np.uint64),
            counter=np.array([0, 0, minor, major], dtype=np.uint64),
        )
    )


def standard_normal(
    shape: tuple[int, ...], *, seed: int, stream: Stream, index: tuple[int, ...] = ()
) -> NDArray[np.float32]:
    """Draw eps ~ N(0, 1) in row order, float32."""
    return generator(seed, stream, *index).standard_normal(shape, dtype=np.float32)


def uniform(
    shape: tuple[int, ...], *, seed: int, stream: Stream, index: tuple[int, ...] = ()
) -> NDArray[np.float32]:
    """Draw u ~ U[0, 1) in row order, float32."""
    return generator(seed, stream, *index).random(shape, dtype=np.float32)


def data_noise(
    kind: Literal["uniform", "normal"],
    shape: tuple[int, ...],
    *,
    seed: int,
    index: tuple[int, ...] = (),
) -> NDArray[np.float32]:
    """Draw the noise that a likelihood of this kind turns into x, in row order."""
    draw = uniform if kind == "uniform" else standard_normal
    return draw(shape, seed=seed, stream=Stream.DATA, index=index)


def random_seed() -> int:
    """Draw a seed from the operating system, for a request that brought none."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))
