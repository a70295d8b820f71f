"""The released checkpoint is what its card says, to the last stored example."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model import checkpoint
from model.binarization import sample
from model.checkpoint import Checkpoint
from model.checkpoint.held_out import Scores, evenly
from model.config import Mlp
from model.elbo import elbo
from model.noise import Stream, standard_normal
from tests.released import figure

ROOT = Path(__file__).parent.parent
RELEASED = ROOT / "released" / "mnist"
MEGABYTES = 5


@pytest.fixture(scope="module")
def released() -> Checkpoint:
    """Return the checkpoint, verified as the service verifies it."""
    return checkpoint.load(RELEASED)


def calibration(released: Checkpoint) -> Scores:
    """Return the held-out scores that it ships with."""
    assert released.calibration is not None
    return released.calibration.scores["negative_elbo"]


def test_it_is_the_network_of_the_paper_on_mnist(released: Checkpoint) -> None:
    """784-500-20 with tanh for 28x28 images, as `make released` trains it."""
    config = released.config
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = " ".join(makefile.replace("\\\n", " ").split())

    command = " ".join(released.manifest.provenance.command)

    assert (config.data_shape, config.latent_dim) == ((28, 28), 20)
    assert config.encoder == Mlp(kind="mlp", hidden=(500,), activation="tanh")
    # What were the defaults at that time is a preset now.
    command = command.replace("--data mnist", "--data mnist --preset paper")
    assert f"{command.removeprefix('python ')} $(ARGS)" in recipe


def test_it_holds_all_that_was_written_and_nothing_else(released: Checkpoint) -> None:
    """Every file is listed with its hash, and the whole stays a few megabytes."""
    found = {path.name for path in RELEASED.iterdir()}
    sizes = sum(path.stat().st_size for path in RELEASED.iterdir())

    assert found == {*released.manifest.files, checkpoint.MANIFEST}
    assert sizes < MEGABYTES * 2**20


def test_its_examples_are_labeled_digits(released: Checkpoint) -> None:
    """64 held-out rows, gray and as the model is given them, with every class."""
    examples = released.examples

    assert examples is not None
    assert examples.gray is not None
    assert examples.labels is not None
    assert examples.x.shape == (64, 784)
    assert set(np.unique(examples.labels)) == set(range(10))
    # Which draw of the noise a row had depends on its place; 0 and 1 had no choice.
    sure = (examples.gray == 0) | (examples.gray == 1)
    assert np.array_equal(examples.x[sure], sample(examples.gray, seed=0)[sure])


def test_its_card_states_the_bar_that_was_set(released: Checkpoint) -> None:
    """The test -ELBO lies below 98.3 nats, over all test rows, static, K = 16."""
    found = figure(released, "elbo", "test")

    assert -found.value < 98.3
    assert (found.n_examples, found.binarization, found.n_samples) == (
        10_000,
        "static",
        16,
    )


def test_its_scores_are_the_figure_of_its_card(released: Checkpoint) -> None:
    """The mean of the held-out scores is minus the validation ELBO, exactly."""
    found = figure(released, "elbo", "validation")
    scores = calibration(released)

    assert len(scores.values) == found.n_examples
    assert abs(scores.values.mean() + found.value) < 1e-9
    assert scores.settings.n_samples == found.n_samples


def test_each_example_measured_again_has_its_score(released: Checkpoint) -> None:
    """
    The weights give every stored row the ELBO that training wrote down for it.

    Row i of the validation rows has the i-th (K, J) of the noise; what is left is the
    rounding of float32 sums of 784 terms, of magnitude 100.
    """
    scores, examples = calibration(released), released.examples
    assert examples is not None
    n, settings = len(scores.values), scores.settings
    assert settings.n_samples is not None
    assert settings.noise_seed is not None
    rows = evenly(n, len(examples.x))
    eps = standard_normal(
        (n, settings.n_samples, released.config.latent_dim),
        seed=settings.noise_seed,
        stream=Stream.LATENT,
    )[rows]

    with torch.inference_mode():
        bound = elbo(
            released.vae,
            torch.from_numpy(examples.x),
            eps=torch.from_numpy(eps).transpose(0, 1),
        )

    measured = (bound.log_likelihood - bound.kl).double().numpy()
    assert np.abs(measured + scores.values[rows]).max() < 1e-3
