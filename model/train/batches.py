"""Training rows in memory; the seed determines their order and the noise."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from model.noise import Stream, generator, standard_normal, uniform

_MOST_HIDDEN = 0.7  # of the cells of a row


@final
@dataclass(frozen=True, eq=False)
class Batches:
    """
    Everything random in a training step, as a function of (seed, epoch, step).

    Attributes:
        x: All training rows, (N, D); gray values if `dynamic`.
        dynamic: Whether rows are binarized again at every use.
        n_columns: Of a table, of which some cells are hidden; 0 for other data.
    """

    x: Tensor
    size: int
    seed: int
    dynamic: bool
    n_columns: int = 0

    @property
    def n_steps(self) -> int:
        """Steps per epoch; the last batch may be smaller."""
        return math.ceil(len(self.x) / self.size)

    @property
    def sizes(self) -> Tensor:
        """Examples in each step of an epoch, (n_steps,)."""
        starts = torch.arange(0, len(self.x), self.size)
        return torch.clamp(len(self.x) - starts, max=self.size)

    def order(self, epoch: int) -> Tensor:
        """Return a permutation of the rows, (N,)."""
        draw = generator(self.seed, Stream.ORDER, epoch)
        return torch.from_numpy(draw.permutation(len(self.x))).to(self.x.device)

    def rows(self, order: Tensor, epoch: int, step: int) -> Tensor:
        """Return the rows of one step, (size, D)."""
        x = self.x.index_select(0, order[step * self.size : (step + 1) * self.size])
        if self.n_columns:
            return torch.where(self._shown(len(x), epoch, step), x, 0.0)
        if not self.dynamic:
            return x
        noise = uniform(
            tuple(x.shape),
            seed=self.seed,
            stream=Stream.BINARIZATION,
            index=(epoch + 1, step),
        )
        return (torch.from_numpy(noise).to(x.device) < x).to(x.dtype)

    def _shown(self, n: int, epoch: int, step: int) -> Tensor:
        """
        Return the cells of n rows that stay, for each value of x.

        Half of the rows are whole; of the others a share between 0 and 0.7 is hidden,
        so that the encoder learns to encode partial rows.
        """
        noise = uniform(
            (n, self.n_columns + 2),
            seed=self.seed,
            stream=Stream.MASKING,
            index=(epoch + 1, step),
        )
        share = np.where(noise[:, 0] < 0.5, _MOST_HIDDEN * noise[:, 1], 0.0)
        shown = noise[:, 2:] >= share[:, None]
        times = self.x.shape[1] // self.n_columns
        return torch.from_numpy(np.tile(shown, (1, times))).to(self.x.device)

    def eps(self, shape: tuple[int, ...], epoch: int, step: int) -> Tensor:
        """Return standard normal noise for one step, (K, size, J)."""
        noise = standard_normal(
            shape, seed=self.seed, stream=Stream.LATENT, index=(epoch + 1, step)
        )
        return torch.from_numpy(noise).to(self.x.device)
