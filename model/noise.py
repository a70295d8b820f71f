"""
Turn a seed into noise: the only source of randomness in the model and the service.

The generator is NumPy's Philox, a counter-based generator (Salmon et al. 2011,
*Parallel random numbers: as easy as 1, 2, 3*), with (seed, stream) as its key, so
streams never overlap. If the result of one request can be the input of another, the two
use different streams, so that both may have the same seed.

Noise for many rows is drawn in row order, so row i does not depend on the number of
rows, and drawing can start at any row (`first`). Uniform numbers take a fixed number of
bits, so the generator can jump to the first row. Normal numbers do not: every
`BLOCK_ROWS` rows start a new part of the stream, and the numbers before `first` in its
block are drawn and discarded.
"""

from enum import IntEnum
from math import prod
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

MAX_SEED = 2**63 - 1
BLOCK_ROWS = 16_384
# Uniform noise in float32 has 24 bits: with this added it is never 0 or 1.
HALF_STEP = 2.0**-25

_FLOATS_PER_COUNT = 8  # a count of Philox gives 256 bits, float32 takes 32
_WORD = 1 << 64
_SKIPPED_AT_ONCE = 1 << 18


class Stream(IntEnum):
    """The purpose of the noise; part of the key, so a number must never change."""

    LATENT = 0  # z ~ q(z|x) for the ELBO: `/elbo`, training, evaluation
    DATA = 1  # x ~ p(x|z) for `/sample`
    BINARIZATION = 2  # of x, for all calls and training
    INITIALIZATION = 3
    ORDER = 4
    SPLIT = 5
    IMPORTANCE = 6
    REFINEMENT = 7
    EVALUATION = 8
    MARKOV_CHAIN = 9
    COMPONENT = 10  # of a mixture prior, for `/sample`
    PRIOR = 11  # z ~ p(z) for `/sample`
    ANOMALY = 12
    IMPUTATION = 13
    OBSERVED = 14  # for fitting q(z|x_o) to observed values
    RECONSTRUCTION = 15  # z ~ q(z|x) for `/reconstruct`
    MASKING = 16  # cells of a table that training hides from its encoder
    MISSING = 17  # which cells of a table are missing in `/sample`


# In these streams each row has a part of its own; others are drawn in row order.
ROW_BY_ROW = frozenset(
    {
        Stream.IMPORTANCE,
        Stream.REFINEMENT,
        Stream.EVALUATION,
        Stream.MARKOV_CHAIN,
        Stream.ANOMALY,
        Stream.IMPUTATION,
        Stream.OBSERVED,
    }
)


def generator(
    seed: int, stream: Stream, major: int = 0, minor: int = 0, *, skipped: int = 0
) -> np.random.Generator:
    """
    Return the generator of one stream.

    Args:
        seed: 0 to 2^63 - 1.
        major: Selects, with `minor`, a part of the stream, for example an epoch and a
            step. Parts lie 2^128 counts apart in Philox's counter.
        skipped: How many counts, of 256 bits each, to skip at the start of the part.

    Raises:
        ValueError: The seed is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must lie in 0 to 2^63 - 1, got {seed}")
    high, low = divmod(skipped, _WORD)
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed, stream], dtype=np.uint64),
            counter=np.array([low, high, minor, major], dtype=np.uint64),
        )
    )


def standard_normal(
    shape: tuple[int, ...], *, seed: int, stream: Stream, index: tuple[int, ...] = ()
) -> NDArray[np.float32]:
    """Draw eps ~ N(0, 1) in row order from one part of a stream, float32."""
    return generator(seed, stream, *index).standard_normal(shape, dtype=np.float32)


def uniform(
    shape: tuple[int, ...], *, seed: int, stream: Stream, index: tuple[int, ...] = ()
) -> NDArray[np.float32]:
    """Draw u ~ U[0, 1) in row order from one part of a stream, float32."""
    return generator(seed, stream, *index).random(shape, dtype=np.float32)


def normal_rows(
    shape: tuple[int, ...], *, seed: int, stream: Stream, first: int = 0
) -> NDArray[np.float32]:
    """
    Draw eps ~ N(0, 1) for N rows that start at `first`, float32.

    Args:
        shape: (N, ...).
        first: Position of the first row in the whole data set.

    Raises:
        ValueError: The stream is one of `ROW_BY_ROW`.
    """
    return NormalRows(shape[1:], seed=seed, stream=stream, first=first).draw(shape[0])


@final
class NormalRows:
    """
    Draws eps ~ N(0, 1) for rows one after another, a few at a time.

    The numbers are those of `normal_rows`, however many rows are drawn at a time.

    Attributes:
        row: The shape of a row.
        n_before: How many numbers before the first row are not discarded yet.
    """

    def __init__(
        self, row: tuple[int, ...], *, seed: int, stream: Stream, first: int = 0
    ) -> None:
        _check_ordered(stream)
        self.row = row
        self.n_before = normals_skipped(first) * prod(row)
        self._seed, self._stream = seed, stream
        self._next = first
        self._generator = self._block()

    def skip(self, most: int) -> None:
        """Draw and discard at most so many of the numbers before the first row."""
        n = min(most, self.n_before)
        for done in range(0, n, _SKIPPED_AT_ONCE):
            n_now = min(_SKIPPED_AT_ONCE, n - done)
            self._generator.standard_normal(n_now, dtype=np.float32)
        self.n_before -= n

    def draw(self, n: int) -> NDArray[np.float32]:
        """Draw eps for the next n rows, (n, *row), float32."""
        self.skip(self.n_before)
        eps = np.empty((n, *self.row), np.float32)
        start, end = self._next, self._next + n
        while self._next < end:
            if not normals_skipped(self._next):
                self._generator = self._block()
            stop = min(end, (self._next // BLOCK_ROWS + 1) * BLOCK_ROWS)
            part = eps[self._next - start : stop - start]
            self._generator.standard_normal(dtype=np.float32, out=part)
            self._next = stop
        return eps

    def _block(self) -> np.random.Generator:
        """Return the generator of the part of the stream with the next row."""
        return generator(self._seed, self._stream, 0, self._next // BLOCK_ROWS)


def uniform_rows(
    shape: tuple[int, ...], *, seed: int, stream: Stream, first: int = 0
) -> NDArray[np.float32]:
    """Draw u ~ U[0, 1) for rows that start at `first`, float32; see `normal_rows`."""
    rows = UniformRows(shape[1:], seed=seed, stream=stream, first=first)
    return rows.draw(shape[0])


@final
class UniformRows:
    """Draws u ~ U[0, 1) for rows one after another, as `NormalRows` draws eps."""

    def __init__(
        self, row: tuple[int, ...], *, seed: int, stream: Stream, first: int = 0
    ) -> None:
        _check_ordered(stream)
        self._row = row
        skipped, rest = divmod(first * prod(row), _FLOATS_PER_COUNT)
        self._generator = generator(seed, stream, skipped=skipped)
        self._generator.random(rest, dtype=np.float32)

    def draw(self, n: int) -> NDArray[np.float32]:
        """Draw u for the next n rows, (n, *row), float32."""
        return self._generator.random((n, *self._row), dtype=np.float32)


def normals_skipped(first: int) -> int:
    """Return how many rows of normal noise are drawn and discarded before `first`."""
    return first % BLOCK_ROWS


def data_noise(
    kind: Literal["uniform", "normal"],
    shape: tuple[int, ...],
    *,
    seed: int,
    first: int = 0,
) -> NDArray[np.float32]:
    """Draw the noise that a likelihood needs to sample x; see `normal_rows`."""
    draw = uniform_rows if kind == "uniform" else normal_rows
    return draw(shape, seed=seed, stream=Stream.DATA, first=first)


def random_seed() -> int:
    """Draw a seed from the operating system, for a request without one."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))


def _check_ordered(stream: Stream) -> None:
    if stream in ROW_BY_ROW:
        raise ValueError(f"noise of stream {stream.name} is drawn row by row")
