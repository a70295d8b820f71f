"""
No function of the evidence chooses a device: everything lies where x does.

Without a second device that computes, the ambient default is one that does not: a
tensor made without naming its device would be there, and meeting x would be an error.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.inference.bracket import upper_bound
from model.inference.evidence import explore, log_evidence
from model.inference.gap import gap
from model.inference.posterior import kl_to_posterior, posterior
from model.inference.proposals import encode_wide
from model.inference.refinement import refine
from model.vae import VAE
from tests.model.ppca import Build, random

Call = Callable[[VAE, Tensor], object]


def _upper_bound(vae: VAE, x: Tensor) -> object:
    found = explore(vae, x, target=0.1, budget=256, seed=0)
    return upper_bound(vae, x, found, seed=0)


def _divergence(vae: VAE, x: Tensor) -> object:
    return kl_to_posterior(vae, x, encode_wide(vae, x), posterior(vae, x))


@pytest.mark.parametrize(
    "call",
    [
        lambda vae, x: log_evidence(vae, x, target=0.1, budget=512, seed=0),
        lambda vae, x: refine(vae, x, seed=0),
        lambda vae, x: gap(vae, x, target=0.1, budget=512, seed=0),
        pytest.param(_divergence, marks=pytest.mark.slow("integrates")),
        pytest.param(_upper_bound, marks=pytest.mark.slow("runs chains")),
    ],
    ids=["bounds", "refinement", "gap", "posterior", "bracket"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_lies_where_x_does(
    build: Build, call: Call, dtype: torch.dtype
) -> None:
    """With another device as default each runs, and gives the same."""
    vae = build(latent_dim=2).to(dtype)
    x = random(2, 6).gt(0).to(dtype)
    expected = call(vae, x)

    with torch.device("meta"):
        result = call(vae, x)

    tensors, expected_tensors = _tensors(result), _tensors(expected)
    assert len(tensors) == len(expected_tensors) > 0
    for tensor, reference in zip(tensors, expected_tensors, strict=True):
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor.nan_to_num(), reference.nan_to_num())
        assert not tensor.requires_grad


def _tensors(result: object) -> list[Tensor]:
    """Return every tensor in nested tuples and dataclasses."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, tuple):
        return [tensor for part in result for tensor in _tensors(part)]
    parts = getattr(result, "__dict__", {})
    return [tensor for part in parts.values() for tensor in _tensors(part)]
