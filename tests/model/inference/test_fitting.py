"""Fits reach the Gaussian posterior where there is one, and every mode."""

import math

import pytest
import torch

from model.inference.example import Example
from model.inference.fitting import fit, fit_modes, max_points, sphere
from model.inference.observed import encode_part
from model.inference.proposals import encode_wide
from model.noise import Stream
from model.row_noise import RowNoise
from tests.model.inference import known
from tests.model.mixture_pca import mixture_pca
from tests.model.ppca import VARIANCE, Build, ppca, random


def noise(seed: int = 0) -> RowNoise:
    """Return the noise of one row."""
    return RowNoise.at(torch.tensor([0]), seed=seed, stream=Stream.REFINEMENT)


@pytest.mark.parametrize("latent_dim", [1, 2, 5, 20])
def test_points_have_mean_nought_and_covariance_one(latent_dim: int) -> None:
    """So expectations of quadratic functions are exact."""
    eps = sphere(noise(), latent_dim)

    assert len(eps) >= 32
    identity = torch.eye(latent_dim).double()
    torch.testing.assert_close(eps.mean(dim=0), torch.zeros(latent_dim).double())
    torch.testing.assert_close(eps.T @ eps / len(eps), identity)


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_a_gaussian_posterior_is_found(build: Build, latent_dim: int) -> None:
    """From any q, with its covariance, and nothing else is found."""
    model = ppca(build, latent_dim)
    x = model.x[:1]

    for found in (
        fit(Example(model.vae, x), encode_wide(model.vae, x), noise=noise()),
        fit_modes(Example(model.vae, x), encode_wide(model.vae, x), noise=noise()),
    ):
        assert len(found.elbo) == 1
        mean = model.r[:1] @ model.w @ model.m.inverse()
        torch.testing.assert_close(found.q_z.mu, mean)
        covariance = found.q_z.scale_tril @ found.q_z.scale_tril.transpose(1, 2)
        torch.testing.assert_close(covariance[0], VARIANCE * model.m.inverse())


@pytest.mark.slow("fits modes again and again")
def test_both_modes_are_found() -> None:
    """Whatever the noise, though the encoder knows one of them only."""
    model = known.bimodal(known.good)
    x = model.x[:1]

    for seed in range(10):
        modes = fit_modes(
            Example(model.vae, x), encode_wide(model.vae, x), noise=noise(seed)
        )
        found = modes.q_z.mu
        assert len(found) == 2
        assert sorted(found[:, 0].round().tolist()) == [-2, 2]


def test_modes_of_a_mixture_prior_have_their_mass(build: Build) -> None:
    """Far apart, the log mass of each is its component's log p(x, c)."""
    model = mixture_pca(build, 2, apart=6.0)
    x = model.x[:1]

    found = fit_modes(Example(model.vae, x), encode_wide(model.vae, x), noise=noise())

    # ELBO = elbo + J / 2 (1 + log 2 pi)
    elbo = found.elbo.max() + (1 + torch.log(torch.tensor(2 * torch.pi)))
    assert elbo == pytest.approx(float(model.log_p_x_and_c[0].max()), abs=0.05)


def test_the_posterior_of_an_observed_part_is_found(build: Build) -> None:
    """Its mean is M^-1 W_o'r_o and its covariance sigma^2 M^-1, by x_o alone."""
    model = ppca(build, 3)
    o = torch.tensor([[1, 0, 1, 1, 0]]).bool()
    x = torch.where(o, model.x[:1], 0.0)

    found = fit_modes(
        Example(model.vae, x, o), encode_part(model.vae, x, o), noise=noise()
    )

    w, r = model.w[o[0]], model.r[0, o[0]]
    m = w.T @ w + VARIANCE * torch.eye(3).double()
    torch.testing.assert_close(found.q_z.mu[0], m.inverse() @ w.T @ r)
    covariance = found.q_z.scale_tril @ found.q_z.scale_tril.transpose(1, 2)
    torch.testing.assert_close(covariance[0], VARIANCE * m.inverse())


@pytest.mark.parametrize("latent_dim", [1, 2, 20])
def test_the_work_of_a_fit_is_bounded(
    build: Build, latent_dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With steps that never end, no more draws are decoded than `max_points`."""
    monkeypatch.setattr("model.inference.fitting._CONVERGED", -math.inf)
    vae = build(latent_dim=latent_dim, seed=4).requires_grad_(False)
    x = (random(1, 6, seed=3) > 0).double()
    decoded = []
    vae.decoder.register_forward_hook(lambda _, args, __: decoded.append(len(args[0])))

    fit_modes(Example(vae, x), encode_wide(vae, x), noise=noise())

    assert sum(decoded) <= max_points(latent_dim)
