"""Chains stay in the posterior, and their rows and seeds are their own."""

import math

import pytest
import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.hmc import Chains, sample_posterior
from model.inference.proposals import encode_wide
from model.inference.refinement import refine
from model.vae import VAE
from tests.model.ppca import VARIANCE, Build, ppca, random


def chains(
    vae: VAE, x: Tensor, q_z: DiagonalGaussian, *, first: int = 0, n_samples: int = 20
) -> Chains:
    """Run four chains for each example."""
    return sample_posterior(
        vae,
        x,
        q_z=q_z,
        n_chains=4,
        n_samples=n_samples,
        n_warmup=20,
        seed=5,
        first=first,
    )


@pytest.mark.slow("runs many chains")
@pytest.mark.parametrize("latent_dim", [1, 3])
def test_the_draws_are_of_the_posterior(build: Build, latent_dim: int) -> None:
    """In a linear-Gaussian model means and variances are the posterior's."""
    model = ppca(build, latent_dim)
    # 200 chains of 20 draws, each thought to be worth a tenth at least.
    run = sample_posterior(
        model.vae,
        model.x,
        q_z=refine(model.vae, model.x, seed=0).q_z,
        n_chains=200,
        n_samples=20,
        n_warmup=60,
        seed=1,
    )

    mean = model.r @ model.w @ model.m.inverse()
    variance = VARIANCE * model.m.inverse().diagonal()
    standard = (run.z - mean) / variance.sqrt()  # (S, C, N, J)
    for moment, exact in ((standard, 0.0), (standard.square(), 1.0)):
        per_chain = moment.mean(dim=0)  # independent, (C, N, J)
        error = per_chain.std(dim=0) / math.sqrt(200)
        assert ((per_chain.mean(dim=0) - exact).abs() < 4 * error).all()
        assert (error < 0.1).all()
    assert ((run.acceptance > 0.65) & (run.acceptance < 0.95)).all()
    assert (run.r_hat < 1.2).all()


def test_chains_that_disagree_are_told_by_r_hat(build: Build) -> None:
    """From a q that is far off and far too narrow they have not met in four steps."""
    model = ppca(build, 2)
    q_z = encode_wide(model.vae, model.x)
    narrow = DiagonalGaussian(q_z.mu, q_z.log_var - 12)

    run = chains(model.vae, model.x, narrow, n_samples=8)

    assert (run.r_hat > 1.1).all()


@pytest.mark.slow("runs chains again and again")
def test_company_and_chunks_do_not_matter(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row alone, at its position, or in chunks, makes the same draws."""
    vae = build(latent_dim=2).requires_grad_(False)
    x = (random(5, 6) > 0).double()
    q_z = encode_wide(vae, x)
    together = chains(vae, x, q_z)

    alone = chains(vae, x[3:4], q_z.rows(torch.tensor([3])), first=3)
    monkeypatch.setattr("model.inference.proposals.MAX_VALUES", 50)
    chunked = chains(vae, x, q_z)

    torch.testing.assert_close(alone.z[:, :, 0], together.z[:, :, 3])
    torch.testing.assert_close(chunked.z, together.z)
    torch.testing.assert_close(chunked.r_hat, together.r_hat)
