"""Log p(x) lies between the two bounds."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.inference import analyses
from model.inference.bracket import upper_bound
from model.inference.columns import Bracketed
from model.inference.effort import Effort
from model.inference.evidence import explore
from model.inference.posterior import posterior
from tests.model.inference.known import MODELS
from tests.model.ppca import Build, N, best_ppca, ppca, random

CLOSELY = Effort.adaptive(target=0.005, budget=2**17)


def assert_between(found: Bracketed, log_p_x: NDArray[np.float64]) -> None:
    """Check that log p(x) is between the bounds, up to three standard errors."""
    # The decoder's softplus is the identity from 20 on, 2e-9 off.
    low = found.log_p_x - 3 * found.log_p_x_standard_error
    assert (low < log_p_x + 1e-7).all()
    assert (found.upper + 3 * found.upper_standard_error > log_p_x - 1e-7).all()


@pytest.mark.slow("runs chains")
def test_with_the_exact_posterior_the_upper_bound_is_tight(build: Build) -> None:
    """For J = 1 the mode is p(z|x), and every draw gives log p(x)."""
    model = best_ppca(build, 1)
    found = explore(model.vae, model.x, target=0.1, budget=256, seed=0)

    result = upper_bound(model.vae, model.x, found, seed=0)

    torch.testing.assert_close(result.bound.value, model.log_p_x, rtol=0, atol=1e-7)
    assert (result.bound.standard_error < 1e-7).all()


@pytest.mark.slow("computes upper bounds")
@pytest.mark.parametrize("latent_dim", [2, 3])
def test_the_evidence_of_a_linear_gaussian_model_is_bracketed(
    build: Build, latent_dim: int
) -> None:
    """Up to three standard errors, and the bracket is narrow."""
    model = ppca(build, latent_dim)

    found = analyses.bracket(model.vae, model.x, CLOSELY, seed=1)

    assert_between(found, model.log_p_x.numpy())
    assert (found.upper - found.log_p_x < 0.1).all()
    assert (found.upper_standard_error < 0.05).all()


@pytest.mark.slow("computes many upper bounds")
def test_the_evidence_of_a_nonlinear_model_is_bracketed(build: Build) -> None:
    """For a Bernoulli MLP and J = 2, against quadrature."""
    vae = build(latent_dim=2).requires_grad_(False)
    x = (random(5, 6, seed=3) > 0).double()

    found = analyses.bracket(vae, x, CLOSELY, seed=1)

    assert_between(found, np.array([one.log_p_x for one in posterior(vae, x)]))
    assert (found.upper - found.log_p_x < 0.05).all()


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

        upper = upper_bound(vae, x[rows], found, seed=seed)

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
    model, effort = ppca(build, 2), Effort.adaptive(target=0.05, budget=2**12)

    together = analyses.bracket(model.vae, model.x, effort, seed=1)
    alone = analyses.bracket(model.vae, model.x[2:3], effort, seed=1, first=2)

    np.testing.assert_allclose(alone.log_p_x[0], together.log_p_x[2])
    np.testing.assert_allclose(alone.upper[0], together.upper[2])
    assert len(together.r_hat) == N
