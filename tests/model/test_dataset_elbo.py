"""An evaluation is the ELBO of every row, with noise that anybody can draw again."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.dataset_elbo import estimate_elbo
from model.elbo import elbo
from model.noise import Stream, standard_normal
from model.vae import VAE

Build = Callable[..., VAE]

N = 23


@pytest.fixture
def vae(build: Build) -> VAE:
    """Return a small model as served, in float32."""
    return build().float()


@pytest.fixture
def x() -> Tensor:
    """Return rows of its data, (N, D)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(2, (N, 6), generator=generator).float()


@pytest.mark.parametrize("pairs_per_chunk", [1, 8, 40, 10**9])
@pytest.mark.parametrize("n_samples", [1, 5])
def test_it_is_the_elbo_whatever_the_chunks(
    vae: VAE,
    x: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    n_samples: int,
    pairs_per_chunk: int,
) -> None:
    """In any chunks it equals `elbo` of all rows with noise drawn as (N, K, J)."""
    monkeypatch.setattr("model.dataset_elbo._PAIRS_PER_CHUNK", pairs_per_chunk)

    evaluation = estimate_elbo(vae, x, n_samples=n_samples, seed=11)

    eps = standard_normal((N, n_samples, 3), seed=11, stream=Stream.LATENT)
    terms = elbo(vae, x, eps=torch.from_numpy(eps).transpose(0, 1))
    # Products of other heights round otherwise, in float32.
    for value, reference in (
        (evaluation.log_likelihood, terms.log_likelihood),
        (evaluation.kl, terms.kl),
        (evaluation.bound, terms.bound),
        (evaluation.mu, vae.encode(x).mu),
    ):
        assert value.dtype == np.float64
        np.testing.assert_allclose(
            value, reference.detach().numpy(), rtol=1e-5, atol=1e-5
        )


def test_a_row_does_not_depend_on_the_rows_after_it(vae: VAE, x: Tensor) -> None:
    """The first rows have the same terms when they are evaluated without the rest."""
    whole = estimate_elbo(vae, x, n_samples=3, seed=1)

    part = estimate_elbo(vae, x[:4], n_samples=3, seed=1)

    np.testing.assert_allclose(part.bound, whole.bound[:4], rtol=1e-5)


def test_the_seed_decides_the_draws(vae: VAE, x: Tensor) -> None:
    """The same seed gives the same bits; another one other draws, but the same KL."""
    first, again, other = (
        estimate_elbo(vae, x, n_samples=2, seed=s) for s in (1, 1, 2)
    )

    np.testing.assert_array_equal(first.bound, again.bound)
    assert (first.log_likelihood != other.log_likelihood).all()
    np.testing.assert_array_equal(first.kl, other.kl)


def test_active_units_are_those_whose_mean_varies_enough(build: Build) -> None:
    """A unit is active if the variance of mu over the data exceeds 0.01."""
    vae = build(data_shape=(1,), latent_dim=4, hidden=()).float()
    assert isinstance(vae.encoder.mu, nn.Linear)
    # x is -1 or 1 equally often, so the variance of mu = w x + b is w^2.
    with torch.no_grad():
        vae.encoder.mu.weight[:, 0] = torch.tensor([0.101, -0.101, 0.099, 0.0])
    x = torch.tensor([-1.0, 1.0]).repeat(5)[:, None]

    evaluation = estimate_elbo(vae, x, n_samples=1, seed=0)

    assert evaluation.n_active == 2


def test_the_error_is_that_of_the_mean_of_the_draws(vae: VAE, x: Tensor) -> None:
    """The standard deviation of K draws over sqrt(K); none for one draw."""
    found = estimate_elbo(vae, x, n_samples=5, seed=1)

    eps = torch.from_numpy(standard_normal((N, 5, 3), seed=1, stream=Stream.LATENT))
    draws = [elbo(vae, x, eps=one[None]).bound for one in eps.transpose(0, 1)]
    error = torch.stack(draws).double().std(dim=0) / 5**0.5
    assert found.standard_error is not None
    np.testing.assert_allclose(found.standard_error, error.detach(), rtol=1e-4)
    assert estimate_elbo(vae, x, n_samples=1, seed=1).standard_error is None
