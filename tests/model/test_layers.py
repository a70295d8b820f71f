"""Layers are made without drawing their weights."""

import torch

from model.layers import Conv2d, ConvTranspose2d, Linear


def test_no_weight_is_drawn() -> None:
    """PyTorch's global generator is as it was before."""
    state = torch.get_rng_state()

    made = Linear(3, 4), Conv2d(2, 3, 4), ConvTranspose2d(2, 3, 4)

    assert [layer.weight.numel() for layer in made] == [12, 96, 96]
    assert torch.equal(torch.get_rng_state(), state)
