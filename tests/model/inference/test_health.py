"""
The parts of the mean KL against models that have them in closed form.

For x ~ N(0, I) and q(z|x) = N(Ax, S) the aggregate posterior is N(0, AA' + S), so
I(x; z) = 1/2 log det(AA' + S) / det S, and its KL from the prior is that of Gaussians.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from model.dataset_elbo import estimate_elbo
from model.distributions import DiagonalGaussian
from model.inference.health import (
    Aggregate,
    Health,
    MeanEstimate,
    aggregate,
    health,
    posteriors,
)
from model.prior import StandardNormal
from model.vae import VAE

Build = Callable[..., VAE]

A = torch.tensor([[0.9, 0.3], [-0.4, 0.5]]).double()
PARTIAL = "Partial collapse: 2 of 3 latent dimensions are active, the others"
VARIANCES = torch.tensor([0.5, 0.8]).double()


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def linear(n: int, *, seed: int = 0) -> DiagonalGaussian:
    """Return q(z|x) = N(Ax, S) of n draws of x."""
    return DiagonalGaussian(
        random(n, 2, seed=seed) @ A.T, VARIANCES.log().expand(n, -1)
    )


@pytest.mark.slow("weighs thousands of examples")
def test_both_parts_of_a_linear_gaussian_encoder_have_their_closed_form() -> None:
    """Within 4 standard errors and the bias, of order 1 / N, at N = 3000."""
    covariance = A @ A.T + torch.diag(VARIANCES)
    information = 0.5 * float(torch.logdet(covariance) - VARIANCES.log().sum())
    zero = torch.zeros(2).double()
    kl = float(
        kl_divergence(
            MultivariateNormal(zero, covariance),
            MultivariateNormal(zero, torch.eye(2).double()),
        )
    )

    found = aggregate(linear(3000), StandardNormal(2), eps=random(1, 3000, 2, seed=1))

    for estimate, wanted in (
        (found.mutual_information, information),
        (found.kl_to_prior, kl),
    ):
        assert abs(estimate.value - wanted) < 4 * estimate.standard_error + 0.005
        assert 0 < estimate.standard_error < 0.02
        assert wanted > 0.05  # there is something to find


@pytest.mark.parametrize("n_draws", [1, 5])
def test_the_parts_add_up_to_the_mean_kl(n_draws: int) -> None:
    """E[KL] = I + KL(q(z) || p(z)), to the Monte Carlo error of log q - log p."""
    q_z, eps = linear(500), random(n_draws, 500, 2, seed=1)

    found = aggregate(q_z, StandardNormal(2), eps=eps)

    z = q_z.reparameterize(eps)
    log_ratio = (q_z.log_prob(z) + 0.5 * z.square().sum(dim=-1)).mean(dim=0)
    error = float(log_ratio.std()) / math.sqrt(500)
    total = found.mutual_information.value + found.kl_to_prior.value
    assert total == pytest.approx(float(log_ratio.mean()) + math.log(2 * math.pi))
    assert abs(total - found.expected_kl) < 4 * error


def test_examples_far_apart_are_told_apart_entirely() -> None:
    """The mutual information is log N, its ceiling, with no error."""
    mu = 1000 * torch.arange(8)[:, None].expand(-1, 2).double()
    q_z = DiagonalGaussian(mu, torch.zeros_like(mu))

    found = aggregate(q_z, StandardNormal(2), eps=random(3, 8, 2))

    assert found.mutual_information.value == pytest.approx(math.log(8))
    assert found.ceiling == math.log(8)
    assert found.mutual_information.standard_error < 1e-6


def test_an_example_with_a_vanishing_sigma_is_told_apart() -> None:
    """An encoder extrapolates to an example 10,000 standard deviations away."""
    q_z = DiagonalGaussian(
        torch.tensor([[0.0], [0.0], [400.0]]).double(),
        torch.tensor([[0.0], [0.0], [-3000.0]]).double(),
    )

    found = aggregate(q_z, StandardNormal(1), eps=random(9, 3, 1))

    # Of three examples one can be distinguished from the others.
    wanted = math.log(3) - 2 / 3 * math.log(2)
    assert found.mutual_information.value == pytest.approx(wanted)
    assert math.isfinite(found.kl_to_prior.value)


def test_examples_of_one_q_cannot_be_told_apart() -> None:
    """The mutual information is 0, and all of the KL is that of the aggregate."""
    q_z = DiagonalGaussian(
        torch.full((50, 2), 0.7).double(), torch.ones(50, 2).double()
    )

    found = aggregate(q_z, StandardNormal(2), eps=random(1, 50, 2))

    assert found.mutual_information.value == pytest.approx(0, abs=1e-12)
    error = found.kl_to_prior.standard_error
    assert abs(found.kl_to_prior.value - found.expected_kl) < 4 * error


def test_two_examples_have_the_information_that_quadrature_finds() -> None:
    """Of N(-1, 1) and N(1, 1), within 4 standard errors of 20,000 draws each."""
    q_z = DiagonalGaussian(torch.tensor([[-1.0], [1.0]]).double(), torch.zeros(2, 1))
    eps = random(20_000, 2, 1)

    found = aggregate(q_z, StandardNormal(2), eps=eps).mutual_information

    z = torch.linspace(-12, 12, 4001).double()
    parts = torch.stack(
        [torch.exp(-0.5 * (z - m) ** 2) / math.sqrt(2 * math.pi) for m in (-1, 1)]
    )
    mixture = parts.mean(dim=0)
    information = (parts * (parts / mixture).log()).sum() * (z[1] - z[0]) / 2
    # The log ratio is bounded by log 2 above and has a deviation below 1.
    assert abs(found.value - float(information)) < 4 / math.sqrt(40_000)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One z at a time or all at once."""
    q_z, eps = linear(40), random(2, 40, 2, seed=1)
    whole = aggregate(q_z, StandardNormal(2), eps=eps)

    monkeypatch.setattr("model.inference.health._DENSITIES_PER_CHUNK", 1)

    alone = aggregate(q_z, StandardNormal(2), eps=eps)
    assert alone.mutual_information == pytest.approx(whole.mutual_information)
    assert alone.kl_to_prior == pytest.approx(whole.kl_to_prior)


def test_one_example_has_no_error_and_no_information() -> None:
    """Log 1 is 0, and a standard error of one value is NaN."""
    found = aggregate(linear(1), StandardNormal(2), eps=random(1, 1, 2))

    assert found.mutual_information.value == 0
    assert math.isnan(found.mutual_information.standard_error)


def test_mean_kl_and_active_units_are_those_of_the_evaluation(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mean KL by dimension and in all, and units as figures count them."""
    vae = build(latent_dim=4).float()
    x = (random(30, 6) > 0).float()
    monkeypatch.setattr("model.inference.health._ROWS_PER_CHUNK", 7)

    found = health(posteriors(vae, x), vae.p_z, eps=random(1, 30, 4))

    evaluation = estimate_elbo(vae, x, n_samples=1, seed=0)
    assert found.kl_per_dim is not None
    wanted = vae.encode(x).kl_to_standard_normal().mean(dim=0).detach()
    np.testing.assert_allclose(found.kl_per_dim, wanted, rtol=1e-4)
    assert found.active.sum() == evaluation.n_active
    assert found.aggregate.expected_kl == pytest.approx(found.kl_per_dim.sum())
    assert found.aggregate.expected_kl == pytest.approx(evaluation.kl.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("kl_per_dim", "active", "verdict"),
    [
        (
            [0.0, 0.0],
            [False, False],
            "Posterior collapse: none of the 2 latent dimensions is active",
        ),
        (
            [2.0, 1.0],
            [True, True],
            "No posterior collapse: every latent dimension is active (2)",
        ),
        (
            [2.0, 0.001, 1.0],
            [True, False, True],
            f"{PARTIAL} follow the prior",
        ),
        (
            [2.0, 0.5, 1.0],
            [True, False, True],
            f"{PARTIAL} differ from the prior, by up to 0.50 nats, but hardly with x",
        ),
        (None, [True, False, True], f"{PARTIAL} hardly move with x"),
    ],
)
def test_the_verdict_says_what_the_numbers_say(
    kl_per_dim: list[float] | None, active: list[bool], verdict: str
) -> None:
    """None, all or some dimensions active, and what the others are."""
    parts = Aggregate(MeanEstimate(1.5, 0.1), MeanEstimate(0.5, 0.1), 2.0, 100)

    per_dim = None if kl_per_dim is None else np.array(kl_per_dim)
    found = Health(per_dim, np.array(active), parts)

    assert found.verdict == (
        f"{verdict}; z carries 1.5 nats of information about its example."
    )


def test_an_encoder_that_ignores_x_has_collapsed(build: Build) -> None:
    """With q(z|x) = p(z) for every x, nothing is active and z has no information."""
    vae = build(hidden=()).requires_grad_(False)
    for head in (vae.encoder.mu, vae.encoder.log_var):
        head.weight.zero_()
        head.bias.zero_()

    found = health(posteriors(vae, random(20, 6)), vae.p_z, eps=random(1, 20, 3))

    assert found.verdict == (
        "Posterior collapse: none of the 3 latent dimensions is active; z carries "
        "0.0 nats of information about its example."
    )
    assert found.aggregate.kl_to_prior.value == pytest.approx(0, abs=1e-12)
