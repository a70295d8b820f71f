"""The figures of a model card are means over the examples, with their errors."""

import numpy as np
import pytest

from model.checkpoint.figures import figures
from model.checkpoint.manifest import Figure
from model.dataset_elbo import DatasetElbo


def summarize(evaluation: DatasetElbo) -> dict[str, Figure]:
    """Return the figures of an evaluation by name."""
    made = figures(
        evaluation, split="test", binarization="static", n_samples=7, noise_seed=5
    )
    assert len({figure.name for figure in made}) == len(made)
    return {figure.name: figure for figure in made}


@pytest.fixture
def evaluation() -> DatasetElbo:
    """Return the terms of three examples; the second latent dimension is asleep."""
    return DatasetElbo(
        log_likelihood=np.array([-90.0, -100.0, -110.0]),
        kl=np.array([21.0, 27.0, 36.0]),
        mu=np.array([[-1.0, 0.01], [0.0, 0.0], [1.0, -0.01]]),
    )


def test_figures_are_means_over_the_examples(evaluation: DatasetElbo) -> None:
    """ELBO, log-likelihood and KL are per example, and the ELBO is the difference."""
    made = summarize(evaluation)

    values = {name: figure.value for name, figure in made.items()}
    assert values == {
        "elbo": -128.0,
        "log_likelihood": -100.0,
        "kl": 28.0,
        "active_units": 1.0,
    }
    assert [made[name].units for name in values] == ["nats"] * 3 + ["dimensions"]


def test_standard_errors_are_those_of_a_mean(evaluation: DatasetElbo) -> None:
    """They are the sample standard deviation over the root of n."""
    made = summarize(evaluation)

    # Of -90, -100, -110 the sample variance is 100; of the ELBOs -111, -127, -146, 307.
    assert made["log_likelihood"].standard_error == pytest.approx((100 / 3) ** 0.5)
    assert made["elbo"].standard_error == pytest.approx((307 / 3) ** 0.5)
    assert made["active_units"].standard_error is None


def test_one_example_has_no_standard_error(evaluation: DatasetElbo) -> None:
    """A single example gives a value and no error, rather than a NaN."""
    made = summarize(DatasetElbo(*(part[:1] for part in evaluation[:3])))

    assert made["elbo"].value == -111.0
    assert made["elbo"].standard_error is None


def test_a_figure_says_how_to_measure_it_again(evaluation: DatasetElbo) -> None:
    """Split, binarization, K, seed and counts go with it, where it has them."""
    made = summarize(evaluation)

    for figure in made.values():
        assert (figure.split, figure.binarization) == ("test", "static")
        assert (figure.n_examples, figure.n_seeds, figure.spread) == (3, 1, None)
    noise = {name: (f.n_samples, f.noise_seed) for name, f in made.items()}
    assert noise.pop("active_units") == (None, None)
    assert set(noise.values()) == {(7, 5)}
