"""The two gaps add up to KL(q(z|x) || p(z|x)), and each is what it is called."""

import pytest
import torch

from model.inference.gap import gap
from model.inference.posterior import kl_to_posterior, posterior
from model.inference.proposals import encode_wide
from tests.model.ppca import Build, ppca, random

J = pytest.mark.parametrize("latent_dim", [1, 2, 3])


@pytest.mark.slow("draws until the gap is known")
@J
def test_both_gaps_of_a_linear_gaussian_model_are_found(
    build: Build, latent_dim: int
) -> None:
    """Approximation: 1/2 (sum log M_jj - log det M); amortization: what is left."""
    model = ppca(build, latent_dim)

    result = gap(model.vae, model.x, target=0.005, budget=2**17, seed=1)

    approximation = 0.5 * (model.m.diagonal().log().sum() - torch.logdet(model.m))
    for estimate, exact, resolution in (
        (result.approximation, approximation.expand(4), 1e-5),
        (result.amortization, model.gap - approximation, 1e-5),
        (result.total, model.gap, 1e-5),
    ):
        allowed = 3 * estimate.standard_error + resolution
        assert ((estimate.value - exact).abs() < allowed).all()
    assert (result.total.standard_error < 0.006).all()
    # Amortization needs no log p(x), so nothing of it is left to chance here.
    assert (result.amortization.standard_error < 1e-9).all()


@pytest.mark.slow("integrates over a grid")
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_the_total_of_a_nonlinear_model_is_a_kl(build: Build, latent_dim: int) -> None:
    """For a Bernoulli MLP it is the KL by quadrature, and the parts add up to it."""
    vae = build(latent_dim=latent_dim).requires_grad_(False)
    x = (random(6, 6, seed=3) > 0).double()

    result = gap(vae, x, target=0.005, budget=2**17, seed=1)

    exact = posterior(vae, x)
    total = kl_to_posterior(vae, x, encode_wide(vae, x), exact).value
    refined = kl_to_posterior(vae, x, result.refinement.q_z, exact).value
    for estimate, kl in (
        (result.total, total),
        (result.approximation, refined),
        (result.amortization, total - refined),
    ):
        # One of 18 differences may pass three standard errors in 5 of 100 seeds.
        assert ((estimate.value - kl).abs() < 3.5 * estimate.standard_error).all()
    torch.testing.assert_close(
        result.approximation.value + result.amortization.value, result.total.value
    )
    assert (refined < 0.25 * total).all()


def test_company_does_not_matter(build: Build) -> None:
    """A row alone, at its position, has the gaps it has in the batch."""
    vae = build().requires_grad_(False)
    x = (random(4, 6, seed=3) > 0).double()

    together = gap(vae, x, target=0.02, budget=2**14, seed=1)
    alone = gap(vae, x[2:3], target=0.02, budget=2**14, seed=1, first=2)

    for part in ("approximation", "amortization", "total"):
        torch.testing.assert_close(
            getattr(alone, part).value[0], getattr(together, part).value[2]
        )
