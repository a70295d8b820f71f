"""Draws the normal noise of requests in threads, a step at a time."""

import asyncio
from math import prod
from typing import final

from app.compute.threads import run_in_thread_if_large
from model.engine import Array
from model.noise import NormalRows, Stream

# The numbers before the first row may take seconds. They are discarded in steps, so
# that a cancelled request ends, and requests take turns; and in few threads at a time,
# so that the others are free.
_STEP_VALUES = 1 << 20  # about 15 ms
_MAX_THREADS = 2


@final
class NormalNoise:
    """Draws eps ~ N(0, 1) for the rows of all requests."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_MAX_THREADS)

    async def draw(
        self, shape: tuple[int, ...], *, seed: int, stream: Stream, first: int
    ) -> Array:
        """Draw eps for N rows that start at `first`, (N, ...), as `normal_rows`."""
        noise = await self.begin(shape[1:], seed=seed, stream=stream, first=first)
        return await run_in_thread_if_large(prod(shape), noise.draw, shape[0])

    async def begin(
        self, row: tuple[int, ...], *, seed: int, stream: Stream, first: int
    ) -> NormalRows:
        """Return what draws eps for rows of this shape from the row `first` on."""
        noise = NormalRows(row, seed=seed, stream=stream, first=first)
        while noise.n_before:
            async with self._room:
                n = min(noise.n_before, _STEP_VALUES)
                await run_in_thread_if_large(n, noise.skip, n)
        return noise
