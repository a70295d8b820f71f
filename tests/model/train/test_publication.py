"""What a finished run leaves behind: a checkpoint whose card tells all."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model import checkpoint, data
from model.binarization import sample
from model.dataset_elbo import estimate_elbo
from model.inference.health import health, posteriors
from model.inference.refinement import refine
from model.noise import Stream, standard_normal
from model.train.command import main
from tests import normal
from tests.model.train.runs import SMALL, read_journal, write_images, write_table

FIGURES = ("elbo", "log_likelihood", "kl", "active_units")


@pytest.fixture(scope="module", autouse=True)
def quick_gap() -> None:
    """Leave the amortization gap as it is: here it is measured again."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a small run on images with two latent dimensions."""
    where = tmp_path_factory.mktemp("trained")
    path = write_images(where / "images.npy", n=60)
    out = where / "bars"
    status = main(["--data", str(path), "--out", str(out), "--epochs", "5", *SMALL])
    assert status == 0
    return out


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a small run on a table, data in thousands."""
    where = tmp_path_factory.mktemp("table")
    path = write_table(where / "rows.npy", n=60, scale=1000)
    arguments = ["--data", str(path), "--out", str(where / "rows"), "--epochs", "2"]
    assert main([*arguments, "--likelihood", "gaussian", *SMALL]) == 0
    return where / "rows"


def rows_of(card: str) -> list[list[str]]:
    """Read the table of a model card."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_checkpoint_is_whole(trained: Path) -> None:
    """It loads, with every file in the manifest and the journal of every epoch."""
    loaded = checkpoint.load(trained)

    found = {path.name for path in trained.iterdir()}
    assert found == {*loaded.manifest.files, "manifest.json"}
    assert [line["epoch"] for line in read_journal(trained / "metrics.jsonl")] == [
        *range(1, 6)
    ]
    assert loaded.config.data_shape == (4, 4)
    assert loaded.config.data.binarization == "dynamic"
    assert loaded.config.data.divided_by == 255


def test_the_baselines_are_in_the_metrics(table: Path) -> None:
    """By log p(x) of the test rows for a Gaussian with the training rows' moments."""
    metrics = checkpoint.load(table).metrics
    dataset = data.load(str(table.with_name("rows.npy")))
    train, test = dataset.train.x, dataset.test.x
    covariance = np.cov(train, rowvar=False, bias=True)
    log_p_x = normal.log_density(test, train.mean(axis=0), covariance).mean()

    full, factors = metrics.baselines

    elbo = next(f for f in metrics.figures if (f.name, f.split) == ("elbo", "test"))
    assert full.name == "full Gaussian"
    assert factors.name.startswith("factor analysis, ")
    np.testing.assert_allclose(full.log_p_x, log_p_x, rtol=1e-4)
    for found in metrics.baselines:
        assert (found.split, found.n_examples) == ("test", len(test))
        np.testing.assert_allclose(
            found.elbo_difference, elbo.value - found.log_p_x, rtol=0, atol=1e-9
        )
        assert found.standard_error is not None


def test_examples_are_stored_with_what_they_score(trained: Path) -> None:
    """The golden record is the ELBO of the first 16 of them, by `estimate_elbo`."""
    loaded = checkpoint.load(trained)

    record = loaded.manifest.golden

    assert loaded.examples is not None
    assert record is not None
    assert len(record.elbo) == min(16, len(loaded.examples.x))
    x = torch.from_numpy(loaded.vae.in_model_units(loaded.examples.x[:16]))
    scored = estimate_elbo(loaded.vae, x, n_samples=record.n_samples, seed=record.seed)
    np.testing.assert_allclose(record.elbo, scored.bound, rtol=0, atol=1e-5)


@pytest.mark.slow("trains")
def test_without_examples_there_is_nothing_to_score(tmp_path: Path) -> None:
    """With `--examples 0` the checkpoint has neither."""
    path = write_images(tmp_path / "images.npy", n=60)
    arguments = ["--data", str(path), "--out", str(tmp_path / "bars"), "--epochs", "1"]

    assert main([*arguments, "--examples", "0", *SMALL]) == 0

    loaded = checkpoint.load(tmp_path / "bars")
    assert loaded.examples is None
    assert loaded.manifest.golden is None


def test_the_card_has_every_figure_with_all_that_makes_it_comparable(
    trained: Path,
) -> None:
    """Binarization, split, examples, K, seeds and spread stand beside each value."""
    head, *rows = rows_of((trained / "README.md").read_text())

    metrics = checkpoint.load(trained).metrics
    assert head == [
        *("figure", "value", "standard error", "split", "examples", "binarization"),
        *("K", "noise seed", "training runs", "spread"),
    ]
    assert [(row[3], row[0]) for row in rows] == [
        *((split, name) for split in ("validation", "test") for name in FIGURES),
        ("test", "amortization_gap"),
    ]
    for row, figure in zip(rows, metrics.figures, strict=True):
        counts = figure.name == "active_units"
        assert row == [
            figure.name,
            f"{figure.value:.0f} dimensions" if counts else f"{figure.value:.3f} nats",
            "-" if counts else f"{figure.standard_error:.3g}",
            figure.split,
            "6",
            "dynamic",
            "16" if figure.name in {"elbo", "log_likelihood", "kl"} else "-",
            "-" if figure.noise_seed is None else "0",
            "1",
            "-",
        ]


def test_the_card_says_where_the_weights_come_from(trained: Path) -> None:
    """Data, their treatment, the epoch, the command and the libraries."""
    card = " ".join((trained / "README.md").read_text().split())

    best = max(
        read_journal(trained / "metrics.jsonl"), key=lambda x: x["validation"]["elbo"]
    )
    assert (
        f"those of epoch {best['epoch']}, the best on validation of 5 epochs." in card
    )
    assert "images.npy" in card
    assert "divided by 255; binarization: dynamic; standardized: no" in card
    assert "python -m model.train --data " in card
    assert f"torch {torch.__version__.split('+')[0]}" in card
    assert "MLP 6 (tanh), 130 parameters (phi)" in card


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_figures_can_be_measured_again(table: Path, split: str) -> None:
    """The loaded model gives them from the file's own rows, with the noise named."""
    loaded = checkpoint.load(table)
    rows = getattr(data.load(str(table.parent / "rows.npy")), split).x

    u = torch.from_numpy(loaded.vae.in_model_units(rows))
    again = estimate_elbo(loaded.vae, u, n_samples=16, seed=0)

    figures = {f.name: f.value for f in loaded.metrics.figures if f.split == split}
    assert figures["elbo"] == pytest.approx(again.bound.mean(), rel=1e-6)
    assert figures["log_likelihood"] == pytest.approx(
        again.log_likelihood.mean(), rel=1e-6
    )
    assert figures["kl"] == pytest.approx(again.kl.mean(), rel=1e-6)
    assert figures["active_units"] == again.n_active


def test_the_amortization_gap_can_be_measured_again(table: Path) -> None:
    """It is what refinement gains on the test rows, all of which were used."""
    loaded = checkpoint.load(table)
    rows = data.load(str(table.parent / "rows.npy")).test.x
    x = torch.from_numpy(loaded.vae.in_model_units(rows))

    gain = refine(loaded.vae, x, seed=0).improvement.value

    (figure,) = (f for f in loaded.metrics.figures if f.name == "amortization_gap")
    assert (figure.split, figure.n_examples) == ("test", len(x))
    assert figure.value == pytest.approx(float(gain.mean()), rel=1e-6)
    assert figure.standard_error == pytest.approx(
        float(gain.std()) / len(x) ** 0.5, rel=1e-6
    )


@pytest.mark.parametrize("name", ["trained", "table"])
def test_the_use_of_the_latents_can_be_measured_again(
    name: str, request: pytest.FixtureRequest
) -> None:
    """From the validation rows, with the noise named; the card has the verdict."""
    path = request.getfixturevalue(name)
    loaded = checkpoint.load(path)
    assert loaded.examples is not None
    use = loaded.metrics.latent_use
    assert use is not None
    rows = loaded.vae.in_model_units(loaded.examples.x)  # all 6 of them
    x = torch.from_numpy(rows)
    assert (use.split, use.n_examples, use.noise_seed) == ("validation", len(x), 0)
    assert use.binarization == loaded.config.data.binarization

    q_z = posteriors(loaded.vae, x)
    shape = (1, len(x), loaded.config.latent_dim)
    eps = standard_normal(shape, seed=use.noise_seed, stream=Stream.EVALUATION)
    again = health(q_z, loaded.vae.p_z, eps=torch.from_numpy(eps))

    assert use.kl_per_dim is not None
    assert again.kl_per_dim is not None
    np.testing.assert_allclose(use.kl_per_dim, again.kl_per_dim, rtol=1e-9)
    assert use.active == tuple(again.active)
    information = again.aggregate.mutual_information
    assert use.mutual_information == pytest.approx(information.value)
    error = use.mutual_information_standard_error
    assert error == pytest.approx(information.standard_error)
    assert use.kl_to_prior == pytest.approx(again.aggregate.kl_to_prior.value)
    assert use.verdict == again.verdict
    assert use.verdict in (path / "README.md").read_text()


@pytest.mark.parametrize("name", ["trained", "table"])
def test_the_calibration_scores_are_those_of_the_held_out_rows(
    name: str, request: pytest.FixtureRequest
) -> None:
    """They are -ELBO of the validation rows, and their settings give them again."""
    loaded = checkpoint.load(request.getfixturevalue(name))
    assert loaded.calibration is not None
    assert loaded.examples is not None
    scores = loaded.calibration.scores["negative_elbo"]
    settings = scores.settings

    again = estimate_elbo(
        loaded.vae,
        torch.from_numpy(loaded.vae.in_model_units(loaded.examples.x)),  # all 6
        n_samples=settings.n_samples or 0,
        seed=settings.noise_seed or 0,
    )

    np.testing.assert_array_equal(scores.values, -again.bound)
    (elbo,) = (
        f
        for f in loaded.metrics.figures
        if (f.split, f.name) == (settings.split, "elbo")
    )
    assert -scores.values.mean() == pytest.approx(elbo.value)
    assert (settings.binarization, settings.n_samples, settings.noise_seed) == (
        *(elbo.binarization, elbo.n_samples, elbo.noise_seed),
    )


@pytest.mark.parametrize("name", ["trained", "table"])
def test_the_latent_quantiles_are_those_of_the_held_out_rows(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Of the mixture of their q(z|x), with what rows they are; levels reach far out."""
    loaded = checkpoint.load(request.getfixturevalue(name))
    assert loaded.calibration is not None
    assert loaded.examples is not None
    aggregate = loaded.calibration.aggregate
    assert aggregate is not None

    rows = loaded.vae.in_model_units(loaded.examples.x)  # all 6 of them
    q_z = posteriors(loaded.vae, torch.from_numpy(rows))
    units = (aggregate.values[:, :, None] - q_z.mu.T.numpy()[:, None]) / (
        q_z.sigma.T.numpy()[:, None]
    )
    share = normal.cdf(units).mean(axis=2)

    np.testing.assert_allclose(
        share, np.broadcast_to(aggregate.levels, share.shape), atol=1e-12
    )
    assert aggregate.values.shape == (loaded.config.latent_dim, 129)
    assert aggregate.levels[0] < 1e-5
    assert aggregate.levels[-1] > 1 - 1e-5
    assert aggregate.settings.split == "validation"
    assert aggregate.settings.n_examples == 6
    assert aggregate.settings.binarization == loaded.config.data.binarization


def test_the_examples_are_rows_of_the_validation_split(trained: Path) -> None:
    """Gray as in the file and binary as scored, where they are binarized."""
    examples = checkpoint.load(trained).examples
    validation = data.load(str(trained.parent / "images.npy")).validation

    assert examples is not None
    assert examples.gray is not None
    np.testing.assert_array_equal(examples.gray, validation.x)
    np.testing.assert_array_equal(examples.x, sample(validation.x, seed=0))
    assert examples.labels is None


@pytest.mark.slow("trains")
def test_data_with_labels_have_them_beside_their_examples(tmp_path: Path) -> None:
    """As many rows as asked for, from all over the split, with their classes."""
    draw = np.random.default_rng(0)
    x = draw.random((90, 4), dtype=np.float32)
    path, out = tmp_path / "data.npz", tmp_path / "out"
    labels = np.arange(90)  # a label that tells the row
    np.savez(path, x_train=x, y_train=labels)
    arguments = ["--data", str(path), "--out", str(out), "--epochs", "1", *SMALL]

    assert main([*arguments, "--examples", "4"]) == 0

    examples = checkpoint.load(out).examples
    assert examples is not None
    assert examples.gray is not None
    assert examples.labels is not None
    assert len(examples.labels) == 4
    np.testing.assert_array_equal(examples.gray, x[examples.labels])
    assert examples.labels[0] < 40
    assert examples.labels[-1] > 50


@pytest.mark.slow("trains")
def test_no_examples_are_stored_where_none_are_wanted(tmp_path: Path) -> None:
    """With --examples 0 the file is not there, and the scores are."""
    path, out = write_table(tmp_path / "rows.npy", n=30), tmp_path / "out"
    arguments = ["--data", str(path), "--out", str(out), "--epochs", "1", *SMALL]

    assert main([*arguments, "--likelihood", "gaussian", "--examples", "0"]) == 0

    loaded = checkpoint.load(out)
    assert loaded.examples is None
    assert not (out / "examples.safetensors").exists()
    assert loaded.calibration is not None


def test_a_published_density_is_in_the_units_of_the_data(table: Path) -> None:
    """The loaded decoder's density, added up over a fine grid of x_1, is one."""
    vae = checkpoint.load(table).vae
    p_x = vae.decode(torch.zeros(1, 2))
    x = torch.linspace(-3e4, 3e4, 60_001)  # steps of 1, with deviations of about 1000

    log_density = p_x.log_prob_per_dim(x[:, None].repeat(1, 4))[:, 0]

    assert float(log_density.double().exp().sum()) == pytest.approx(1, abs=1e-4)


def test_a_table_has_no_pictures_but_its_learning_curve(table: Path) -> None:
    """Neither in the directory nor in the card, though it has two latents."""
    card = (table / "README.md").read_text()

    assert [path.name for path in table.glob("*.png")] == ["learning_curve.png"]
    assert card.count("![") == 1
    assert "standardized: yes" in " ".join(card.split())


def test_the_pictures_are_in_the_card_and_are_png(trained: Path) -> None:
    """Learning curve, reconstructions, samples and, for two latents, the manifold."""
    names = ["learning_curve", "reconstructions", "samples", "manifold"]
    card = (trained / "README.md").read_text()

    sizes = {}
    for name in names:
        assert f"]({name}.png)" in card
        with Image.open(io.BytesIO((trained / f"{name}.png").read_bytes())) as image:
            assert image.format == "PNG"
            sizes[name] = image.size

    tile = 64 + 4
    assert sizes["reconstructions"] == (6 * tile, 2 * tile)
    assert sizes["samples"] == (10 * tile, 10 * tile)
    assert sizes["manifold"] == (20 * tile, 20 * tile)
    assert len(list(trained.glob("*.png"))) == 4


@pytest.mark.slow("trains")
def test_three_latents_have_no_manifold(tmp_path: Path) -> None:
    """There is no plane to show."""
    path = write_images(tmp_path / "images.npy")
    arguments = ["--data", str(path), "--out", str(tmp_path / "out"), "--epochs", "1"]

    assert main([*arguments, *SMALL, "--latent-dim", "3"]) == 0

    assert not (tmp_path / "out" / "manifold.png").exists()
    assert (tmp_path / "out" / "samples.png").exists()


@pytest.mark.slow("trains")
def test_the_same_command_makes_the_same_weights(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, pictures and figures, byte for byte."""
    monkeypatch.chdir(trained.parent)
    torch.manual_seed(99)  # ambient randomness must not matter
    arguments = ["--data", "images.npy", "--out", "again", "--epochs", "5", *SMALL]

    assert main(arguments) == 0

    again = trained.parent / "again"
    for name in ("model.safetensors", "metrics.json", "config.json", "manifold.png"):
        assert (again / name).read_bytes() == (trained / name).read_bytes(), name
    manifest = json.loads((again / "manifest.json").read_text())
    assert manifest["provenance"]["command"] == [
        *("python", "-m", "model.train"),
        *arguments,
    ]
