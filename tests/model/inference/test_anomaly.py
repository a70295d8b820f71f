"""P-values are valid whatever the score is, and surprise adds up to the likelihood."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from model.elbo import elbo
from model.inference.anomaly import p_values, surprise
from model.vae import VAE
from tests import uniformity

Build = Callable[..., VAE]


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_p_values_are_counts() -> None:
    """Among 1, 2, 2, 5: (1 + how many are as high) / 5, and as low, ties included."""
    found = p_values(
        np.array([0.0, 2.0, 3.0, 5.0, 9.0]), np.array([5.0, 2.0, 1.0, 2.0])
    )

    np.testing.assert_allclose(found.upper, np.array([5, 4, 2, 2, 1]) / 5)
    np.testing.assert_allclose(found.lower, np.array([1, 4, 4, 5, 5]) / 5)
    np.testing.assert_allclose(found.two_sided, np.array([2, 5, 4, 4, 2]) / 5)


def test_p_values_are_those_of_the_definition() -> None:
    """Against a count of every pair, for scores with many ties and of any shape."""
    draw = np.random.default_rng(0)
    scores, calibration = (
        draw.integers(0, 9, (4, 5)) / 1.0,
        draw.integers(0, 9, 31) / 1.0,
    )

    found = p_values(scores, calibration)

    pairs = calibration[:, None, None], scores[None]
    np.testing.assert_allclose(
        found.upper, (1 + (pairs[0] >= pairs[1]).sum(axis=0)) / 32
    )
    np.testing.assert_allclose(
        found.lower, (1 + (pairs[0] <= pairs[1]).sum(axis=0)) / 32
    )


def test_p_values_of_held_out_rows_of_a_vae_are_uniform(build: Build) -> None:
    """
    Of -ELBO with noise of its own, for rows drawn as the calibration rows were.

    Each trial draws its own calibration set: given one set, p-values of many rows are
    not independent. A Kolmogorov-Smirnov test over 500 trials finds no departure that
    it would find at p = 0.01, though the model fits the data badly.
    """
    vae = build().requires_grad_(False)
    n_trials, n = 500, 199
    x = (random(n_trials * (n + 1), 6) > 0.5).double()
    scores = -elbo(vae, x, eps=random(2, len(x), 3, seed=1)).bound.numpy()
    trials = scores.reshape(n_trials, n + 1)

    found = [p_values(trial[:1], trial[1:]) for trial in trials]

    # Uniform noise spreads the lattice of width 1/200 to the continuum.
    jitter = np.random.default_rng(0).random(n_trials) / (n + 1)
    for side in (0, 1):
        p = np.array([one[side][0] for one in found]) - jitter
        assert uniformity.p_value(p) > 0.01
    two_sided = np.array([one.two_sided[0] for one in found])
    for level in (0.02, 0.1, 0.5):
        error = np.sqrt(level * (1 - level) / n_trials)
        assert (two_sided <= level).mean() < level + 3 * error
        assert (two_sided <= level).mean() > level - 3 * error


def test_with_ties_the_p_values_are_valid() -> None:
    """P(p <= a) <= a, by far, where a score has three values only."""
    draw = np.random.default_rng(1)
    trials = draw.integers(0, 3, (4000, 20)) / 1.0

    p = np.array([p_values(trial[:1], trial[1:]).upper[0] for trial in trials])

    for level in (0.05, 0.2, 0.4, 0.7):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / len(p))
    assert (p <= 1).all()


@pytest.mark.parametrize(
    ("score", "upper", "lower"), [(np.inf, 0.25, 1.0), (-np.inf, 1.0, 0.25)]
)
def test_an_infinite_score_is_the_most_extreme(
    score: float, upper: float, lower: float
) -> None:
    """No p-value is below 1 / (n + 1): more calibration rows are needed to say more."""
    found = p_values(np.array([score]), np.array([1.0, 2.0, 3.0]))

    assert found.upper[0] == upper
    assert found.lower[0] == lower
    assert found.two_sided[0] == 0.5


@pytest.mark.parametrize(
    ("scores", "calibration", "message"),
    [
        ([0.0], [], r"n >= 1, got \[0\]"),
        ([0.0], [[1.0]], r"n >= 1, got \[1, 1\]"),
        ([0.0, np.nan], [1.0], r"^score \[1\] is NaN"),
        ([0.0], [1.0, np.nan], r"^calibration score \[1\] is NaN"),
    ],
)
def test_what_has_no_rank_is_refused(
    scores: list[float], calibration: list[float], message: str
) -> None:
    """The message names which score and where."""
    with pytest.raises(ValueError, match=message):
        p_values(np.array(scores), np.array(calibration))


@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)
def test_surprise_adds_up_to_the_negative_log_likelihood(
    build: Build, likelihood: str
) -> None:
    """Over the dimensions, with the same noise, for every row."""
    vae = build(likelihood=likelihood).requires_grad_(False)
    x, eps = (random(4, 6) > 0).double(), random(7, 4, 3, seed=1)

    found = surprise(vae, x, eps=eps)

    assert found.per_dim.shape == (4, 6)
    assert found.per_draw.shape == (7, 4)
    total = elbo(vae, x, eps=eps).log_likelihood
    torch.testing.assert_close(found.per_dim.sum(dim=1), -total)
    log_likelihood = vae.decode(vae.encode(x).reparameterize(eps)).log_prob(x)
    torch.testing.assert_close(found.per_draw, -log_likelihood)


def test_surprise_is_found_where_it_is(build: Build) -> None:
    """Changing one value of x moves q, but no other dimension's surprise as much."""
    vae = build(likelihood="gaussian").requires_grad_(False)
    vae.encoder.mu.weight.zero_()  # q the same for every x
    vae.encoder.log_var.weight.zero_()
    x = random(3, 6)
    changed = x.clone()
    changed[:, 4] += 30
    eps = random(5, 3, 3, seed=1)

    before, after = (surprise(vae, some, eps=eps).per_dim for some in (x, changed))

    difference = after - before
    assert (difference[:, 4] > 1).all()
    assert torch.equal(difference[:, [0, 1, 2, 3, 5]], torch.zeros(3, 5).double())
