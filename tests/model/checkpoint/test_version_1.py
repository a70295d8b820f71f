"""Shift and scale of version 1 are those of the current version, once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.checkpoint.version_1 import convert, rounding
from model.config import Config
from model.vae import VAE

Build = Callable[..., VAE]


def older(vae: VAE) -> tuple[dict[str, torch.Tensor], Config]:
    """Return weights and configuration as version 1 wrote them."""
    weights = dict(vae.state_dict())
    for name in ("shift", "scale"):
        value = weights.pop(f"standardization.{name}").float()
        for side in ("encoder", "decoder"):
            weights[f"{side}.standardization.{name}"] = value.clone()
    return weights, vae.config.model_copy(update={"format_version": 1})


@pytest.fixture
def vae(build: Build) -> VAE:
    """Return a model of standardized data."""
    return build(likelihood="gaussian", standardized=True)


def test_shift_and_scale_move_out_of_the_networks(vae: VAE) -> None:
    """Their float32 values become float64, and all other weights stay."""
    weights, config = older(vae)

    found = convert(weights, config)

    assert found.keys() == vae.state_dict().keys()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float64 or tensor is weights[name]
    scale = weights["encoder.standardization.scale"].double()
    assert torch.equal(found["standardization.scale"], scale)


def test_different_units_of_encoder_and_decoder_are_refused(vae: VAE) -> None:
    """No version wrote them, and no model has two units."""
    weights, config = older(vae)
    weights["decoder.standardization.shift"][1] += 1

    with pytest.raises(ValueError, match=r"expected one standardization\.shift"):
        convert(weights, config)


def test_weights_that_are_missing_stay_missing(vae: VAE) -> None:
    """The check of the names will say so."""
    weights, config = older(vae)
    del weights["decoder.standardization.shift"]

    assert "standardization.shift" not in convert(weights, config)


def test_the_current_version_is_not_converted(vae: VAE) -> None:
    """Nor has it been rounded."""
    weights = vae.state_dict()

    found = convert(weights, vae.config)

    assert found.keys() == weights.keys()
    assert all(found[name] is weights[name] for name in weights)
    assert rounding(vae, np.full((3, 6), 1e9)).tolist() == [0, 0, 0]


def test_rounding_grows_with_the_size_of_the_values(vae: VAE) -> None:
    """Where they are as large as their spread, it is far below a nat."""
    _, vae.config = older(vae)
    x = np.array([[1.0] * 6, [1e6] * 6])

    small, large = rounding(vae, x)

    assert 0 < small < 1e-2
    assert large > 1e3 * small
