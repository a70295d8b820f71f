"""
The operations `encode`, `decode`, `sample` and `elbo`, computed in batches.

Noise is drawn from seeds, then rows go through the batcher. This module does not depend
on HTTP.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import final

import numpy as np
from numpy.typing import NDArray

from app.compute.batcher import Batcher, Capacity, Queue
from app.compute.noise import NormalNoise
from app.compute.threads import run_in_thread_if_large
from app.observability.batch import Batch
from model.engine import (
    TILE,
    AnyArray,
    Array,
    CellArrays,
    Decoding,
    Draws,
    Encoding,
    Engine,
    RowScores,
)
from model.engine.elbo_terms import ElboTerms, concatenate_terms, elbo_of
from model.engine.support import to_support
from model.noise import (
    NormalRows,
    Stream,
    data_noise,
    normal_rows,
    normals_skipped,
    uniform_rows,
)
from model.option_values import Binarize, Draw

Levels = NDArray[np.float64]

# The noise of `/elbo` in memory: of so many parts of requests at a time, 4 MiB each.
_NOISE_VALUES, _MAX_LONG_PARTS = 1 << 20, 4
_FEW_NOISE_VALUES = 1 << 16


@final
class Operations:
    """
    `encode`, `decode`, `sample`, `elbo` on the served model.

    x goes in in the model's units, and comes out in those of the data.

    Attributes:
        batcher: Computes the rows; it knows whether there is room for more.
        noise: Draws the normal noise of requests.
    """

    def __init__(
        self, engine: Engine, on_batch: Callable[[Batch], object], capacity: Capacity
    ) -> None:
        self.engine = engine
        self.batcher = Batcher(on_batch, capacity)
        self.noise = NormalNoise()
        self._long_parts = asyncio.Semaphore(_MAX_LONG_PARTS)
        self._encode = self.batcher.queue("encode", "encode", engine.encode)
        # Not methods of this object: a reference cycle would delay freeing memory.
        decoded, drawn = partial(_decode_arrays, engine), partial(_draw_arrays, engine)
        self._decode = self.batcher.queue("decode", "decode", decoded)
        self._draw = self.batcher.queue("sample", "sample", drawn)

    async def encode(self, x: Array) -> Encoding:
        """Return q(z|x) for x, (N, D)."""
        return Encoding(*await self.batcher.rows(self._encode, x))

    async def decode(self, z: Array) -> Decoding:
        """Return p(x|z) for z, (N, J)."""
        return Decoding(*await self.batcher.rows(self._decode, z))

    async def cells(self, z: Array) -> CellArrays:
        """Return the distributions of a table's cells for z, (N, J)."""
        return CellArrays(*await self.batcher.rows(self._cells(), z))

    async def sample(
        self,
        n: int,
        *,
        seed: int,
        temperature: float,
        draw: Draw,
        complete: bool,
        first: int = 0,
    ) -> Draws:
        """
        Draw z ~ p(z) and return it with E[x|z] or x ~ p(x|z).

        The temperature scales the prior's standard deviation; for a mixture, those of
        its components. Row i depends only on the seed and first + i.

        Args:
            complete: Whether draws of x have no missing cells.
        """
        config = self.engine.config
        n_drawn = n + normals_skipped(first)
        n_values = n_drawn * config.latent_dim * (1 if self.engine.kl_adds_up else 4)
        z = await run_in_thread_if_large(
            n_values, self._latents, n, seed, temperature, first
        )
        if draw == "mean":
            return Draws((await self.decode(z)).mean, z)
        noise = await self._data_noise(n, seed, first)
        n_sets = self.engine.n_missing_sets
        if complete or not n_sets:
            (x,) = await self.batcher.rows(self._draw, z, noise)
            return Draws(x, z)
        gaps = await run_in_thread_if_large(n * n_sets, self._gaps, n, seed, first)
        (x,) = await self.batcher.rows(self._draw_with_gaps(), z, noise, gaps)
        return Draws(x, z)

    async def elbo(
        self,
        x: Array,
        *,
        n_samples: int,
        seed: int,
        binarize: Binarize | None,
        first: int = 0,
    ) -> ElboTerms:
        """
        Estimate the ELBO of x, (N, D), with `n_samples` draws of z per example.

        Args:
            first: Position of the first row in its data.

        Raises:
            OutsideSupportError: A value of x is not in the likelihood's support, or,
                with `binarize`, not in [0, 1].
        """
        x = await self.to_support(x, seed=seed, binarize=binarize, first=first)
        row = (n_samples, self.engine.config.latent_dim)
        noise = await self.noise.begin(
            row, seed=seed, stream=Stream.LATENT, first=first
        )
        n_rows = max(1, _NOISE_VALUES // prod(row))
        parts = [
            await self._elbo_in_turn(x[start : start + n_rows], noise)
            for start in range(0, len(x), n_rows)
        ]
        return parts[0] if len(parts) == 1 else concatenate_terms(parts)

    async def prior_quantiles(self, dims: Sequence[int], levels: Levels) -> Levels:
        """Return quantiles of the prior's marginals p(z_j), (len(dims), Q)."""
        # Those of a mixture are found by bisection, which takes milliseconds.
        return await asyncio.to_thread(self.engine.prior_quantiles, dims, levels)

    async def to_support(
        self, x: Array, *, seed: int, binarize: Binarize | None, first: int = 0
    ) -> Array:
        """
        Binarize x, (N, D), if requested, and check that it is in the support.

        Raises:
            OutsideSupportError: A value of x is not in the likelihood's support, or,
                with `binarize`, not in [0, 1].
        """
        checked = partial(to_support, seed=seed, binarize=binarize, first=first)
        return await run_in_thread_if_large(x.size, checked, self.engine, x)

    def rehearse(self) -> None:
        """
        Compute a tile with each operation before the first request; in any thread.

        This measures the cost of a row; without it, the first batches would be short.
        """
        shape = (TILE, self.engine.config.latent_dim)
        z = normal_rows(shape, seed=0, stream=Stream.LATENT)
        noise = self._noise(TILE, 0, 0)
        x = self.engine.in_model_units(self.engine.draw(z, noise))
        self._encode.rehearse(x)
        self._decode.rehearse(z)
        if self.engine.config.table is not None:
            self._cells().rehearse(z)
        self._draw.rehearse(z, noise)
        if self.engine.n_missing_sets:
            self._draw_with_gaps().rehearse(z, noise, self._gaps(TILE, 0, 0))
        self._elbo(1).rehearse(x, z[:, None])

    async def _scores(self, x: Array, eps: Array) -> RowScores:
        """Score x with eps, (N, K, J), at most TILE draws at a time."""
        n_samples = eps.shape[1]
        if n_samples <= TILE:
            return RowScores(*await self.batcher.rows(self._elbo(n_samples), x, eps))
        # Filled piece by piece, so that no more than one piece is in memory twice.
        log_likelihood = np.empty(eps.shape[:2], np.float32)
        kl = np.empty(0, np.float32)
        for start in range(0, n_samples, TILE):
            draws = slice(start, start + TILE)
            queue = self._elbo(eps[:, draws].shape[1])
            piece = RowScores(*await self.batcher.rows(queue, x, eps[:, draws]))
            log_likelihood[:, draws] = piece.log_likelihood
            if self.engine.kl_adds_up:
                kl = piece.kl
            else:
                kl = kl if kl.size else np.empty(eps.shape[:2], np.float32)
                kl[:, draws] = piece.kl
        return RowScores(log_likelihood, kl)

    async def _elbo_in_turn(self, x: Array, noise: NormalRows) -> ElboTerms:
        """Estimate the ELBO of the next rows; few with much noise at a time."""
        if len(x) * prod(noise.row) <= _FEW_NOISE_VALUES:
            return await self._elbo_of(x, noise)
        async with self._long_parts:
            return await self._elbo_of(x, noise)

    async def _elbo_of(self, x: Array, noise: NormalRows) -> ElboTerms:
        """Draw the noise of the next rows, and estimate their ELBO."""
        n_values = len(x) * prod(noise.row)
        eps = await run_in_thread_if_large(n_values, noise.draw, len(x))
        scores = await self._scores(x, eps)
        engine = self.engine
        summed = partial(
            elbo_of, adds_up=engine.kl_adds_up, log_jacobian=engine.log_jacobian
        )
        return await run_in_thread_if_large(scores.log_likelihood.size, summed, scores)

    def _latents(self, n: int, seed: int, temperature: float, first: int) -> Array:
        return self.engine.latents(n, seed=seed, temperature=temperature, first=first)

    def _cells(self) -> Queue:
        """Return the queue of a table's rows whose cells' distributions are wanted."""
        return self.batcher.queue("cells", "decode", self.engine.cells)

    def _draw_with_gaps(self) -> Queue:
        """Return the queue of draws of a table's rows that may lack cells."""
        drawn = partial(_draw_arrays_with_gaps, self.engine)
        return self.batcher.queue("gaps", "sample", drawn)

    def _elbo(self, n_samples: int) -> Queue:
        """Return the queue for rows with `n_samples` draws, equal within a batch."""
        return self.batcher.queue(("elbo", n_samples), "elbo", self.engine.score)

    def _noise(self, n: int, seed: int, first: int) -> Array:
        kind = self.engine.checkpoint.vae.likelihood.noise
        shape = (n, self.engine.config.data_dim)
        return data_noise(kind, shape, seed=seed, first=first)

    async def _data_noise(self, n: int, seed: int, first: int) -> Array:
        """Draw the noise that x ~ p(x|z) needs, (n, D)."""
        shape = (n, self.engine.config.data_dim)
        if self.engine.checkpoint.vae.likelihood.noise == "normal":
            return await self.noise.draw(
                shape, seed=seed, stream=Stream.DATA, first=first
            )
        return await run_in_thread_if_large(prod(shape), self._noise, n, seed, first)

    def _gaps(self, n: int, seed: int, first: int) -> Array:
        shape = (n, self.engine.n_missing_sets)
        return uniform_rows(shape, seed=seed, stream=Stream.MISSING, first=first)


def _decode_arrays(engine: Engine, z: Array) -> Sequence[AnyArray]:
    return [array for array in engine.decode(z) if array is not None]


def _draw_arrays(engine: Engine, z: Array, noise: Array) -> Sequence[AnyArray]:
    return [engine.draw(z, noise)]


def _draw_arrays_with_gaps(
    engine: Engine, z: Array, noise: Array, gaps: Array
) -> Sequence[AnyArray]:
    return [engine.draw_with_gaps(z, noise, gaps)]
