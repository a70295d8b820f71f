"""What is built from options and data."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model import checkpoint
from model.config import Conv, Mlp
from model.train.__main__ import main
from model.train.assembly import choose_device, configure, start
from model.train.options import Options
from tests.model.train.runs import SMALL, Trainer, write_images, write_table


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


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Return the checkpoint of a short run on a table, standardised."""
    path = write_table(tmp_path / "before.npy", n=60, scale=10)
    out = tmp_path / "before"
    arguments = ["--data", str(path), "--out", str(out), "--epochs", "2", *SMALL]
    assert main([*arguments, "--likelihood", "gaussian"]) == 0
    return out


def later(where: Path, before: Path, **changes: Any) -> Trainer:
    """Return a run on other rows that starts from the weights of that checkpoint."""
    options = Options(
        data=str(write_table(where / "later.npy", n=60, scale=30, seed=1)),
        out=where / "later",
        init_from=before,
        likelihood="gaussian",
        hidden=(6,),
        latent_dim=2,
        epochs=1,
    )
    return Trainer(replace(options, **changes))


def test_a_run_starts_from_the_weights_of_a_checkpoint(
    tmp_path: Path, before: Path
) -> None:
    """Shift and scale of the data included, and the moving average starts there too."""
    run = later(tmp_path, before)

    state = run.begin()

    wanted = checkpoint.load(before).vae.state_dict()
    assert wanted.keys() == state.weights.keys() == state.average.keys()
    for name, weights in wanted.items():
        assert torch.equal(state.weights[name], weights)
        assert torch.equal(state.average[name], weights)
    assert run.prepared.standardization is not None
    scale = torch.from_numpy(run.prepared.standardization.scale)
    assert not torch.allclose(wanted["encoder.standardization.scale"], scale)
    run.fit(state)
    name = "encoder.mu.weight"
    assert not torch.equal(state.weights[name], wanted[name])


def test_a_resumed_run_does_not_need_where_it_started_from(
    tmp_path: Path, before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own state has the weights; the checkpoint it began with may be gone."""
    path = write_table(tmp_path / "later.npy", n=60, seed=1)
    arguments = ["--data", str(path), "--out", str(tmp_path / "later"), *SMALL]
    arguments += ["--likelihood", "gaussian", "--init-from", str(before)]
    assert main([*arguments, "--epochs", "1"]) == 0
    shutil.rmtree(before)

    assert main(["--resume", str(tmp_path / "later")]) == 0
    assert main([*arguments, "--overwrite"]) == 2

    assert f"no checkpoint at {before}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 3}, "latent_dim is 2, not 3"),
        ({"hidden": (7,)}, r"encoder is .*hidden=\(6,\).* not .*hidden=\(7,\)"),
        ({"sigma_floor": 0.5}, "likelihood is .*sigma_floor=0.01, not .*=0.5"),
    ],
)
def test_another_architecture_than_the_checkpoints_is_refused(
    tmp_path: Path, before: Path, changes: dict[str, Any], message: str
) -> None:
    """It names what differs, and both values."""
    with pytest.raises(ValueError, match=f"^--init-from {before}: {message}"):
        later(tmp_path, before, **changes).begin()


def test_data_in_other_units_than_the_checkpoints_are_refused(
    tmp_path: Path, before: Path
) -> None:
    """Networks that standardise do not go on with networks that do not."""
    run = later(tmp_path, before)
    prepared = replace(run.prepared, standardization=None)
    config = configure(run.options, run.dataset, prepared)

    with pytest.raises(ValueError, match=r"data\.standardized is True, not False"):
        start(config, run.options, prepared, torch.device("cpu"))
