"""
Encode, decode, sample and score: from a range of rows to arrays, a few rows at a time.

The computation is the service's: the engine, noise by position, and the same checks.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, final

import numpy as np
from numpy.typing import NDArray

from model.bulk.source import RowSource
from model.engine import TILE, AnyArray, Array, Engine, RowScores
from model.engine.elbo_terms import ElboTerms, elbo_of
from model.engine.support import OutsideSupportError, to_support
from model.noise import BLOCK_ROWS, NormalRows, Stream, UniformRows
from model.option_values import Binarize, Draw

Arrays = Mapping[str, NDArray[Any]]

# 8 MiB of float32. Converting a piece takes the weights out of a core's cache, so
# longer pieces are faster: 0.96 of the engine's rate, 0.86 with an eighth of this.
_PIECE_VALUES = 1 << 21
_NOISE_VALUES = 1 << 22
_BLOCK = BLOCK_ROWS // 8


@final
class ComputedRows(NamedTuple):
    """The arrays of some rows, the first of which has the index `first`."""

    first: int
    arrays: Arrays


class Operation(Protocol):
    """What is computed of each row."""

    @property
    def n_rows(self) -> int:
        """How many rows the input has."""

    @property
    def block_rows(self) -> int:
        """How many rows a block has; blocks start at multiples of it."""

    @property
    def may_be_missing(self) -> Collection[str]:
        """The arrays that may have NaN, for missing cells."""

    def pieces(self, rows: slice) -> Iterator[ComputedRows]:
        """
        Compute rows of one block in order, a piece at a time.

        Raises:
            ValueError: A value cannot be used, or a result is not finite; the message
                has file and row.
        """

    def example(self, row: int) -> str:
        """Name a row for errors."""


class _OfSource:
    """What operations on the rows of a source share."""

    source: RowSource
    block_rows = _BLOCK
    may_be_missing = ()

    @property
    def n_rows(self) -> int:
        return self.source.n_rows

    def example(self, row: int) -> str:
        return self.source.example(row)


@final
@dataclass(frozen=True, eq=False)
class Encode(_OfSource):
    """Rows of x to q(z|x): mu and log_var, (N, J)."""

    engine: Engine
    source: RowSource

    def pieces(self, rows: slice) -> Iterator[ComputedRows]:
        for first, x in _convert(self.source, rows, _piece_rows(self.engine)):
            yield ComputedRows(first, self.engine.encode(x)._asdict())


@final
@dataclass(frozen=True, eq=False)
class Decode(_OfSource):
    """Rows of z to p(x|z): mean, and log_var if there is one, (N, *data_shape)."""

    engine: Engine
    source: RowSource

    def pieces(self, rows: slice) -> Iterator[ComputedRows]:
        for first, z in _convert(self.source, rows, _piece_rows(self.engine)):
            mean, log_var = self.engine.decode(z)
            arrays = {"mean": _to_data_shape(self.engine, mean)}
            if log_var is not None:
                arrays["log_var"] = _to_data_shape(self.engine, log_var)
            yield ComputedRows(first, arrays)


@final
@dataclass(frozen=True, eq=False)
class Score(_OfSource):
    """Rows of x to the ELBO and its terms, in nats, as `/elbo` answers them."""

    engine: Engine
    source: RowSource
    n_samples: int
    seed: int
    binarize: Binarize | None
    first: int

    def pieces(self, rows: slice) -> Iterator[ComputedRows]:
        config = self.engine.config
        row = (self.n_samples, config.latent_dim)
        noise = NormalRows(
            row, seed=self.seed, stream=Stream.LATENT, first=self.first + rows.start
        )
        n = _piece_rows(self.engine, self.n_samples * config.latent_dim)
        for first, x in _convert(self.source, rows, n):
            binary = self._to_support(x, first)
            terms = _elbo(self.engine, binary, noise.draw(len(x)))
            found = terms._asdict().items()
            yield ComputedRows(first, {k: v for k, v in found if v is not None})

    def _to_support(self, x: Array, first: int) -> Array:
        try:
            return to_support(
                self.engine,
                x,
                seed=self.seed,
                binarize=self.binarize,
                first=self.first + first,
            )
        except OutsideSupportError as error:
            raise self.source.outside(error, first) from error


@final
@dataclass(frozen=True, eq=False)
class Sample:
    """Draws from the model: x, (n, *data_shape), and the z they come from, (n, J)."""

    engine: Engine
    n_rows: int
    seed: int
    temperature: float
    draw: Draw
    complete: bool
    first: int

    @property
    def block_rows(self) -> int:
        """All rows between restarts of the noise if much of it would be skipped."""
        is_long = self.draw == "sample" and self._noise == "normal"
        return BLOCK_ROWS if is_long else _BLOCK

    @property
    def may_be_missing(self) -> Collection[str]:
        return ("x",) if self.engine.n_missing_sets else ()

    @property
    def _noise(self) -> str:
        return self.engine.checkpoint.vae.likelihood.noise

    def example(self, row: int) -> str:
        return f"sample {row}"

    def pieces(self, rows: slice) -> Iterator[ComputedRows]:
        n, start = rows.stop - rows.start, self.first + rows.start
        z = self.engine.latents(
            n, seed=self.seed, temperature=self.temperature, first=start
        )
        draw = self._mean if self.draw == "mean" else self._sampler(start)
        for part in _parts(n, _piece_rows(self.engine)):
            x = draw(z[part])
            arrays = {"x": _to_data_shape(self.engine, x), "z": z[part]}
            yield ComputedRows(rows.start + part.start, arrays)

    def _mean(self, z: Array) -> AnyArray:
        return self.engine.decode(z).mean

    def _sampler(self, first: int) -> Callable[[Array], AnyArray]:
        """Return a function that draws x ~ p(x|z) of the next rows from `first` on."""
        width = self.engine.config.data_dim
        kind = NormalRows if self._noise == "normal" else UniformRows
        noise = kind((width,), seed=self.seed, stream=Stream.DATA, first=first)
        n_sets = self.engine.n_missing_sets
        if self.complete or not n_sets:
            return lambda z: self.engine.draw(z, noise.draw(len(z)))
        gaps = UniformRows(
            (n_sets,), seed=self.seed, stream=Stream.MISSING, first=first
        )
        return lambda z: self.engine.draw_with_gaps(
            z, noise.draw(len(z)), gaps.draw(len(z))
        )


def _elbo(engine: Engine, x: Array, eps: Array) -> ElboTerms:
    """Return the terms of the ELBO with eps, (N, K, J), TILE draws at a time."""
    slices = _parts(eps.shape[1], TILE)
    scores = [engine.score(x, eps[:, draws]) for draws in slices]
    kl = scores[0].kl
    if not engine.kl_adds_up:
        kl = np.concatenate([one.kl for one in scores], axis=1)
    log_likelihood = np.concatenate([one.log_likelihood for one in scores], axis=1)
    return elbo_of(
        RowScores(log_likelihood, kl),
        adds_up=engine.kl_adds_up,
        log_jacobian=engine.log_jacobian,
    )


def _convert(source: RowSource, rows: slice, n: int) -> Iterator[tuple[int, Array]]:
    """Yield n rows at a time, each time with the index of the first."""
    raw = source.raw(rows)
    for part in _parts(len(raw), n):
        first = rows.start + part.start
        yield first, source.converted(raw[part], first)


def _parts(n_rows: int, n: int) -> Iterator[slice]:
    for start in range(0, n_rows, n):
        yield slice(start, min(start + n, n_rows))


def _piece_rows(engine: Engine, noise_per_row: int = 1) -> int:
    """Return how many rows are computed at a time: whole tiles, if noise is short."""
    n = _PIECE_VALUES // engine.config.x_width
    tiles = max(1, n // TILE)
    return min(tiles * TILE, max(1, _NOISE_VALUES // noise_per_row))


def _to_data_shape(engine: Engine, x: AnyArray) -> AnyArray:
    return x.reshape(-1, *engine.config.data_shape)
