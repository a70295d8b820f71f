"""Training rows in memory; the seed determines their order and the noise."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from model.noise import Stream, generator, standard_normal, uniform


@final
@dataclass(frozen=True, eq=False)
class Batches:
    """
    Everything random in a training step, as a function of (seed, epoch, step).

    Attributes:
        x: All training rows, (N, D); gray values if `dynamic`.
        dynamic: Whether rows are binarized again at every use.
    """

    x: Tensor
    size: int
    seed: int
    dynamic: bool

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
        if not self.dynamic:
            return x
        noise = uniform(
            tuple(x.shape),
            seed=self.seed,
            stream=Stream.BINARIZATION,
            index=(epoch + 1, step),
        )
        return (torch.from_numpy(noise).to(x.device) < x).to(x.dtype)

    def eps(self, shape: tuple[int, ...], epoch: int, step: int) -> Tensor:
        """Return standard normal noise for one step, (K, size, J)."""
        noise = standard_normal(
            shape, seed=self.seed, stream=Stream.LATENT, index=(epoch + 1, step)
        )
        return torch.from_numpy(noise).to(self.x.device)
