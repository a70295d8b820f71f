"""Fits reach the Gaussian posterior where there is one, and every mode."""

import pytest
import torch

from model.inference.fitting import fit, fit_modes, sphere
from model.inference.proposals import encoded
from model.noise import Stream
from model.row_noise import RowNoise
from tests.model.inference import known
from tests.model.mixture_pca import mixture_pca
from tests.model.ppca import VARIANCE, Build, ppca


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
        fit(model.vae, x, encoded(model.vae, x), noise=noise()),
        fit_modes(model.vae, x, encoded(model.vae, x), noise=noise()),
    ):
        assert len(found.elbo) == 1
        mean = model.r[:1] @ model.w @ model.m.inverse()
        torch.testing.assert_close(found.q_z.mu, mean)
        covariance = found.q_z.scale_tril @ found.q_z.scale_tril.transpose(1, 2)
        torch.testing.assert_close(covariance[0], VARIANCE * model.m.inverse())


def test_both_modes_are_found() -> None:
    """Whatever the noise, though the encoder knows one of them only."""
    model = known.bimodal(known.good)
    x = model.x[:1]

    for seed in range(10):
        found = fit_modes(model.vae, x, encoded(model.vae, x), noise=noise(seed)).q_z.mu
        assert len(found) == 2
        assert sorted(found[:, 0].round().tolist()) == [-2, 2]


def test_modes_of_a_mixture_prior_have_their_mass(build: Build) -> None:
    """Far apart, the log mass of each is its component's log p(x, c)."""
    model = mixture_pca(build, 2, apart=6.0)
    x = model.x[:1]

    found = fit_modes(model.vae, x, encoded(model.vae, x), noise=noise())

    # ELBO = elbo + J / 2 (1 + log 2 pi)
    elbo = found.elbo.max() + (1 + torch.log(torch.tensor(2 * torch.pi)))
    assert elbo == pytest.approx(float(model.log_p_x_and_c[0].max()), abs=0.05)
