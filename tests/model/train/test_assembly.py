"""What is built from options and data."""

from pathlib import Path

import pytest
import torch

from model.config import Conv, Mlp
from model.train.assembly import choose_device
from model.train.options import Options
from tests.model.train.runs import Trainer, write_images


def test_the_decoder_mirrors_the_encoder(tmp_path: Path) -> None:
    """Hidden widths are given from x to z, and run back from z to x."""
    options = Options(
        data=str(write_images(tmp_path / "images.npy")), hidden=(7, 5, 3), latent_dim=2
    )

    config = Trainer(options).config

    assert isinstance(config.encoder, Mlp)
    assert isinstance(config.decoder, Mlp)
    assert config.encoder.hidden == (7, 5, 3)
    assert config.decoder.hidden == (3, 5, 7)


def test_a_conv_network_has_the_channels_asked_for(tmp_path: Path) -> None:
    """In both directions, with one dense layer."""
    options = Options(
        data=str(write_images(tmp_path / "images.npy")),
        network="conv",
        channels=(3, 6),
        hidden=(9,),
        activation="silu",
    )

    config = Trainer(options).config

    wanted = Conv(kind="conv", channels=(3, 6), hidden=9, activation="silu")
    assert config.encoder == config.decoder == wanted


def test_first_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    """Not on how many rows there are, nor on what was drawn before."""
    few, many, other = (
        Trainer(
            Options(
                data=str(write_images(tmp_path / f"images{i}.npy", n=n)),
                out=tmp_path / f"run{i}",
                hidden=(6,),
                seed=seed,
            )
        ).begin()
        for i, (n, seed) in enumerate([(48, 1), (96, 1), (48, 2)])
    )

    name = "decoder.eta.weight"
    assert torch.equal(few.weights[name], many.weights[name])
    assert not torch.equal(few.weights[name], other.weights[name])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    """And auto does without."""
    with pytest.raises(ValueError, match="--device cuda: this machine or this build"):
        choose_device("cuda")

    assert choose_device("auto") == torch.device("cpu")
