"""
Layers whose weights are not drawn when they are made.

They are loaded from a checkpoint, or drawn by `model.networks.initialize`. PyTorch's
own layers draw them first, from its global generator, which takes most of the time in
which a model is made.
"""

from typing import final

from torch import nn


@final
class Linear(nn.Linear):
    """An affine map, without values."""

    def reset_parameters(self) -> None:
        """Do nothing."""


@final
class Conv2d(nn.Conv2d):
    """A convolution, without values."""

    def reset_parameters(self) -> None:
        """Do nothing."""


@final
class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution, without values."""

    def reset_parameters(self) -> None:
        """Do nothing."""
