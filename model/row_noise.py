"""Noise for rows that need different amounts of it, from one stream per row."""

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
    Noise of R rows; that of a row is a function of (seed, stream, position) alone.

    Each row reads its own stream in order from the start, so its noise does not depend
    on the other rows, on how much they read, or on the sizes of the reads.
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
        Start the streams of the rows at these positions in the data.

        Args:
            positions: (R,), on the device where the noise is needed.
            part: Number of the stream; the streams of a row are independent.

        Raises:
            ValueError: The stream is not one of `ROW_BY_ROW`.
        """
        if stream not in ROW_BY_ROW:
            raise ValueError(f"noise of stream {stream.name} is drawn in row order")
        generators = (generator(seed, stream, i, part) for i in positions.tolist())
        return cls(tuple(generators), positions.device)

    def rows(self, index: Tensor) -> Self:
        """Keep only the rows at `index`, (R',); their streams continue."""
        kept = tuple(self.generators[i] for i in index.tolist())
        return type(self)(kept, self.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw eps ~ N(0, 1) in float32 precision, as float64, (R, *shape)."""
        # Float32 like all noise of this package: a float64 draw gives other numbers.
        draws = [g.standard_normal(shape, dtype=np.float32) for g in self.generators]
        return torch.from_numpy(np.stack(draws)).to(self.device).double()

    def uniform(self, *shape: int) -> Tensor:
        """Draw u ~ U[0, 1) as float64, (R, *shape)."""
        draws = [g.random(shape) for g in self.generators]
        return torch.from_numpy(np.stack(draws)).to(self.device)
