"""Log p(x) lies between the two bounds."""

import math

import pytest
import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.bracket import (
    bracket,
    simulate,
    upper_bound,
    upper_bound_from,
)
from model.inference.evidence import explore
from model.inference.posterior import posterior
from model.inference.proposals import encoded
from model.vae import VAE
from tests.model.inference.known import MODELS
from tests.model.ppca import Build, D, N, best_ppca, ppca, random


def linear_log_p_x(build: Build, latent_dim: int, x: Tensor) -> Tensor:
    """Return log p(x) of the probabilistic PCA for other x."""
    return ppca(build, latent_dim)._replace(x=x).log_p_x


def test_with_the_exact_posterior_the_upper_bound_is_tight(build: Build) -> None:
    """For J = 1 the best q is p(z|x), and every draw gives log p(x)."""
    model = best_ppca(build, 1)
    q_z = encoded(model.vae, model.x)

    result = upper_bound(model.vae, model.x, q_z=q_z, seed=0, n_samples=4, n_warmup=4)

    torch.testing.assert_close(result.bound.value, model.log_p_x, rtol=0, atol=1e-7)
    assert (result.bound.standard_error < 1e-9).all()
    assert not result.is_exact


@pytest.mark.slow("computes upper bounds")
@pytest.mark.parametrize("latent_dim", [2, 3])
def test_the_evidence_of_a_linear_gaussian_model_is_bracketed(
    build: Build, latent_dim: int
) -> None:
    """Up to three standard errors, and the bracket is narrow."""
    model = ppca(build, latent_dim)

    result = bracket(model.vae, model.x, target=0.005, budget=2**17, seed=1)

    lower, upper = result.lower.bound, result.upper.bound
    # The decoder's softplus is the identity from 20 on, 2e-9 off.
    assert (lower.value - 3 * lower.standard_error < model.log_p_x + 1e-7).all()
    assert (upper.value + 3 * upper.standard_error > model.log_p_x - 1e-7).all()
    assert (upper.value - lower.value < 0.1).all()
    assert (upper.standard_error < 0.05).all()


@pytest.mark.slow("computes many upper bounds")
def test_the_evidence_of_a_nonlinear_model_is_bracketed(build: Build) -> None:
    """For a Bernoulli MLP and J = 2, against quadrature."""
    vae = build(latent_dim=2).requires_grad_(False)
    x = (random(5, 6, seed=3) > 0).double()

    result = bracket(vae, x, target=0.005, budget=2**17, seed=1)

    exact = torch.tensor([one.log_p_x for one in posterior(vae, x)]).double()
    lower, upper = result.lower.bound, result.upper.bound
    assert (lower.value - 3 * lower.standard_error < exact).all()
    assert (upper.value + 3 * upper.standard_error > exact).all()
    assert (upper.value - lower.value < 0.05).all()


def test_from_exact_draws_it_is_above_even_with_a_poor_q(build: Build) -> None:
    """
    On 500 simulated pairs, with chains that hardly move, the mean is too high.

    By many standard errors of the mean over pairs; without the exact start the same
    chains stay near q, give a mean that is too low, and say that they are not exact.
    """
    model = ppca(build, 2)
    x, z = simulate(model.vae, model.x, 500, seed=3)
    log_p_x = linear_log_p_x(build, 2, x)
    at = torch.tensor([0.0, 0.0]).double().expand(500, 2)
    q_z = DiagonalGaussian(at, torch.zeros_like(at) - 12)

    results = [
        upper_bound(
            model.vae,
            x,
            q_z=q_z,
            seed=1,
            start=start,
            n_chains=2,
            n_samples=4,
            n_warmup=2,
        )
        for start in (z, None)
    ]

    off = [result.bound.value - log_p_x for result in results]
    error = off[0].std() / math.sqrt(500)
    assert off[0].mean() > 4 * error
    assert off[1].mean() < 0
    assert [result.is_exact for result in results] == [True, False]


@pytest.mark.slow("computes many upper bounds")
def test_from_exact_draws_a_good_q_makes_the_mean_tight(build: Build) -> None:
    """
    On 1,000 simulated pairs it is 0 to 0.05 nats above log p(x).

    The encoder's q is the best in closed form.
    """
    model = best_ppca(build, 2)
    x, z = simulate(model.vae, model.x, 1000, seed=3)
    q_z = encoded(model.vae, x)

    result = upper_bound(
        model.vae, x, q_z=q_z, seed=1, start=z, n_chains=2, n_samples=8, n_warmup=20
    )

    off = result.bound.value - linear_log_p_x(build, 2, x)
    error = off.std() / math.sqrt(1000)
    assert -4 * error < off.mean() < 0.05
    assert error < 0.01


def test_simulated_pairs_are_of_the_model(build: Build) -> None:
    """Z is standard normal; x has the model's mean and variance, and its dtype."""
    model = ppca(build, 2)

    x, z = simulate(model.vae, model.x, 20_000, seed=3)

    assert x.shape == (20_000, D)
    assert x.dtype == torch.float64
    assert z.mean(dim=0).abs().max() < 4 / math.sqrt(20_000)
    residual = (x - model.x[0]) + model.r[0]
    covariance = model.w @ model.w.T + 0.3 * torch.eye(D).double()
    error = covariance.diagonal().sqrt() / math.sqrt(20_000)
    assert (residual.mean(dim=0).abs() < 4 * error).all()
    torch.testing.assert_close(torch.cov(residual.T), covariance, rtol=0.1, atol=0.05)


@pytest.mark.slow("computes many upper bounds")
def test_an_upper_bound_is_above_as_often_as_its_error_says() -> None:
    """
    Of 160 rows, log p(x) is above it by 2 standard errors in 5 % at most.

    Never by 4. It is near log p(x), and the chains agree where p(z|x) is a Gaussian.
    """
    ratios = []
    for seed, (name, build_known) in enumerate(MODELS.items()):
        vae, x, log_p_x = build_known()
        rows = slice(None, None, len(x) // 16)
        found = explore(vae, x[rows], target=0.05, budget=1024, seed=seed)

        upper = upper_bound_from(vae, x[rows], found, seed=seed)

        off = upper.bound.value - torch.from_numpy(log_p_x[rows])
        ratios.append(off / upper.bound.standard_error)
        assert off.mean() < 0.1, name
        if name.startswith(("independent", "correlated")):
            assert (upper.r_hat <= 1.01).double().mean() >= 0.75, name
    ratio = torch.cat(ratios)
    assert (ratio < -2).double().mean() <= 0.05
    assert (ratio > -4).all()


@pytest.mark.slow("computes upper bounds again and again")
def test_company_does_not_matter(build: Build) -> None:
    """A row alone, at its position, has the bracket that it has in the batch."""
    model = ppca(build, 2)

    together = bracket(model.vae, model.x, target=0.05, budget=2**12, seed=1)
    alone = bracket(model.vae, model.x[2:3], target=0.05, budget=2**12, seed=1, first=2)

    for part in ("lower", "upper"):
        one, all_of_them = getattr(alone, part).bound, getattr(together, part).bound
        torch.testing.assert_close(one.value[0], all_of_them.value[2])
    assert len(together.upper.r_hat) == N


@pytest.mark.parametrize(("n_chains", "n_samples"), [(1, 10), (2, 3)])
def test_too_few_chains_are_refused(
    build: Build, n_chains: int, n_samples: int
) -> None:
    """A standard error needs two, and R-hat halves of two draws."""
    vae: VAE = build().requires_grad_(False)
    x = torch.zeros(1, 6).double()

    with pytest.raises(ValueError, match=f"got {n_chains} of {n_samples}"):
        upper_bound(
            vae,
            x,
            q_z=encoded(vae, x),
            seed=0,
            n_chains=n_chains,
            n_samples=n_samples,
        )
