"""What is built from options and data."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model import checkpoint
from model.config import Conv, Mlp
from model.device import choose_device
from model.prior_config import GaussianMixtureConfig, StandardNormalConfig, Vamp
from model.train import resumption
from model.train.assembly import configure, start
from model.train.command import main
from model.train.options import RunOptions
from tests.model.remote.stores import remove, upload
from tests.model.train.runs import (
    SMALL,
    Trainer,
    one_thread,
    write_images,
    write_table,
)


def test_the_decoder_mirrors_the_encoder(tmp_path: Path) -> None:
    """Hidden widths are given from x to z, and run back from z to x."""
    options = RunOptions(
        data=str(write_images(tmp_path / "images.npy")), hidden=(7, 5, 3), latent_dim=2
    )

    config = Trainer(options).config

    assert isinstance(config.encoder, Mlp)
    assert isinstance(config.decoder, Mlp)
    assert config.encoder.hidden == (7, 5, 3)
    assert config.decoder.hidden == (3, 5, 7)


def test_a_conv_network_has_the_channels_asked_for(tmp_path: Path) -> None:
    """In both directions, with one dense layer."""
    options = RunOptions(
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
            RunOptions(
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


@pytest.mark.parametrize(
    ("prior", "wanted"),
    [
        ("standard", StandardNormalConfig(kind="standard_normal")),
        ("mixture", GaussianMixtureConfig(kind="gaussian_mixture", n_components=3)),
        ("vamp", Vamp(kind="vamp", n_components=3)),
    ],
)
def test_the_prior_is_the_one_asked_for(
    tmp_path: Path, prior: Any, wanted: object
) -> None:
    """With as many components, and weights in the run's state and average."""
    options = RunOptions(
        data=str(write_images(tmp_path / "images.npy")),
        out=tmp_path / "run",
        prior=prior,
        components=500 if prior == "standard" else 3,
    )

    run = Trainer(options)
    state = run.begin()

    assert run.config.prior == wanted
    learned = {name for name in state.weights if name.startswith("prior.")}
    assert bool(learned) == (prior != "standard")
    assert learned <= state.average.keys()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_pseudo_inputs_begin_near_rows_of_the_training_data(
    tmp_path: Path, likelihood: Any
) -> None:
    """Other rows each, in the encoder's units, 0.01 of noise beside them."""
    gaussian = likelihood == "gaussian"
    write = write_table if gaussian else write_images
    options = RunOptions(
        data=str(write(tmp_path / "data.npy", n=48)),
        out=tmp_path / "run",
        likelihood=likelihood,
        prior="vamp",
        components=20,
    )
    run = Trainer(options)

    state = run.begin()

    train = torch.from_numpy(run.prepared.train)
    rows = train
    pseudo_inputs = state.weights["prior.pseudo_inputs"]
    distance, nearest = torch.cdist(pseudo_inputs, rows).min(dim=1)
    d = rows.shape[1]
    assert len(set(nearest.tolist())) == 20
    assert ((distance / d**0.5 > 0.001) & (distance / d**0.5 < 0.03)).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    """And auto does without."""
    with pytest.raises(
        ValueError, match="device cuda was asked for, but torch finds no"
    ):
        choose_device("cuda")

    assert choose_device("auto") == torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a short run on a table, standardized."""
    folder = tmp_path_factory.mktemp("trained")
    path, out = write_table(folder / "before.npy", n=60, scale=10), folder / "before"
    arguments = ["--data", str(path), "--out", str(out), "--epochs", "2", *SMALL]
    with one_thread():
        assert main([*arguments, "--likelihood", "gaussian"]) == 0
    return out


@pytest.fixture
def before(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of it, which a test may remove."""
    return shutil.copytree(trained, tmp_path / "before")


def later(where: Path, before: Path, **changes: Any) -> Trainer:
    """Return a run on other rows that starts from the weights of that checkpoint."""
    options = RunOptions(
        data=str(write_table(where / "later.npy", n=60, scale=30, seed=1)),
        out=where / "later",
        init_from=before,
        likelihood="gaussian",
        hidden=(6,),
        latent_dim=2,
        epochs=1,
    )
    return Trainer(replace(options, **changes))


def test_a_run_starts_from_a_checkpoint_behind_a_url(
    tmp_path: Path, before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the weights of its copy, and its hash as the parent's."""
    monkeypatch.setenv("VAE_CHECKPOINT_CACHE", str(tmp_path / "cache"))
    url = f"memory://elsewhere/{tmp_path.name}"
    upload(before, url)

    local = later(tmp_path, before)
    remote = later(tmp_path, before, init_from=url)
    models = [run.begin().vae.state_dict() for run in (local, remote)]

    identities = [
        resumption.identity(r.options, r.dataset, []) for r in (local, remote)
    ]
    parents = [identity["parent_sha256"] for identity in identities]
    assert parents == [checkpoint.identity(before)] * 2
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    remove("memory://elsewhere")


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
    # The rows are standardized as those of the checkpoint were.
    assert run.prepared.units is not None
    assert run.prepared.train.std() > 2
    scale = torch.from_numpy(run.prepared.units.scale)
    assert torch.equal(wanted["standardization.scale"], scale)
    run.fit(state)
    name = "encoder.mu.weight"
    assert not torch.equal(state.weights[name], wanted[name])


def test_a_learned_prior_begins_afresh_beside_the_weights_of_a_checkpoint(
    tmp_path: Path, before: Path
) -> None:
    """A standard normal one before, a VampPrior now: the rest is taken over."""
    run = later(tmp_path, before, prior="vamp", components=5)

    state = run.begin()

    wanted = checkpoint.load(before).vae
    names = wanted.state_dict().keys()
    for name in names:
        assert torch.equal(state.weights[name], wanted.state_dict()[name])
    assert state.weights.keys() - names == {"prior.pseudo_inputs"}
    # In the units of the checkpoint's own shift and scale.
    rows = torch.from_numpy(run.prepared.train)
    nearest = torch.cdist(state.weights["prior.pseudo_inputs"], rows).amin(dim=1)
    assert (nearest < 0.1).all()


@pytest.mark.slow("trains")
def test_a_prior_of_the_same_kind_and_size_is_taken_over(tmp_path: Path) -> None:
    """And one of another size is not."""
    path = write_table(tmp_path / "data.npy", n=60)
    first = tmp_path / "first"
    arguments = ["--data", str(path), "--likelihood", "gaussian", *SMALL]
    arguments += ["--epochs", "1", "--prior", "mixture"]
    assert main([*arguments, "--components", "3", "--out", str(first)]) == 0

    same, other = (
        later(tmp_path, first, prior="mixture", components=n, out=tmp_path / str(n))
        for n in (3, 4)
    )

    wanted = checkpoint.load(first).vae.state_dict()["prior.mean"]
    assert torch.equal(same.begin().weights["prior.mean"], wanted)
    assert other.begin().weights["prior.mean"].shape == (4, 2)


@pytest.mark.slow("trains twice")
def test_a_checkpoint_names_the_one_it_started_from(
    tmp_path: Path, before: Path
) -> None:
    """By its sha256, also after a resumption; a fresh one names none."""
    path = write_table(tmp_path / "later.npy", n=60, seed=1)
    out = tmp_path / "later"
    arguments = ["--data", str(path), "--out", str(out), *SMALL]
    arguments += ["--likelihood", "gaussian", "--init-from", str(before)]
    parent = checkpoint.load(before)
    assert main([*arguments, "--epochs", "1"]) == 0
    shutil.rmtree(before)

    found = [checkpoint.load(out).manifest.provenance.parent_sha256]
    assert main(["--resume", str(out)]) == 0

    found.append(checkpoint.load(out).manifest.provenance.parent_sha256)
    assert found == [parent.sha256, parent.sha256]
    assert parent.manifest.provenance.parent_sha256 is None


@pytest.mark.slow("trains twice")
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
    """Networks that standardize do not go on with networks that do not."""
    run = later(tmp_path, before)
    prepared = replace(run.prepared, units=None)
    config = configure(run.options, run.dataset, prepared)

    with pytest.raises(ValueError, match=r"data\.standardized is True, not False"):
        start(config, run.options, prepared, torch.device("cpu"))
