"""Noise for rows that take different amounts of it, each from a stream of its own."""

from dataclasses import dataclass
from typing import Self, final

import numpy as np
import torch
from torch import Tensor

from model.noise import ROW_BY_ROW, Stream, generator


@final
@dataclass(frozen=True, eq=False)
class RowNoise:
    """
    Noise of R rows: that of a row is a function of (seed, stream, position) alone.

    Each row reads its own stream from the start, in order. So neither the other rows,
    nor how much they read, nor the portions in which it is read, change what it gets.
    """

    generators: tuple[np.random.Generator, ...]
    device: torch.device

    @classmethod
    def at(
        cls,
        positions: Tensor,
        *,
        seed: int,
        stream: Stream,
        part: int = 0,
    ) -> Self:
        """
        Start the streams of the rows at these positions of the data.

        Args:
            positions: (R,), on the device that the noise is for.
            part: Which of a row's streams, all independent.

        Raises:
            ValueError: The stream is not one of `ROW_BY_ROW`.
        """
        if stream not in ROW_BY_ROW:
            raise ValueError(f"noise of stream {stream.name} is drawn in row order")
        generators = (generator(seed, stream, i, part) for i in positions.tolist())
        return cls(tuple(generators), positions.device)

    def rows(self, index: Tensor) -> Self:
        """Go on with the rows at `index`, (R',), where they are."""
        kept = tuple(self.generators[i] for i in index.tolist())
        return type(self)(kept, self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw eps ~ N(0, 1) with the precision of float32, as float64, (R, *shape)."""
        # Float32, as all noise of this package: a float64 draw reads the stream anew.
        draws = [g.standard_normal(shape, dtype=np.float32) for g in self.generators]
        return torch.from_numpy(np.stack(draws)).to(self.device).double()

    def uniform(self, *shape: int) -> Tensor:
        """Draw u ~ U[0, 1) as float64, (R, *shape)."""
        draws = [g.random(shape) for g in self.generators]
        return torch.from_numpy(np.stack(draws)).to(self.device)
