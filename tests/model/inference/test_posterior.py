"""Quadrature gives the posterior, log p(x) and KL(q || p(z|x)) to rounding."""

import math
import sys
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from model.distributions import DiagonalGaussian
from model.inference.posterior import Posterior, kl_to_posterior, posterior
from model.inference.proposals import FullGaussian, encode_wide
from model.vae import VAE
from tests.model.ppca import VARIANCE, Build, ppca, random

J = pytest.mark.parametrize("latent_dim", [1, 2])


def binary(n: int, *, seed: int = 3) -> Tensor:
    """Return binary rows, (n, 6)."""
    return (random(n, 6, seed=seed) > 0).double()


def evidence(posteriors: tuple[Posterior, ...]) -> Tensor:
    """Return log p(x) of each, (N,)."""
    return torch.tensor([one.log_p_x for one in posteriors], dtype=torch.float64)


@J
def test_the_evidence_of_a_linear_gaussian_model_is_exact(
    build: Build, latent_dim: int
) -> None:
    """So are mean and covariance of its posterior, all to 1e-7."""
    model = ppca(build, latent_dim)

    results = posterior(model.vae, model.x)

    # The decoder's softplus is the identity from 20 on, 2e-9 off.
    assert_close = partial(torch.testing.assert_close, rtol=1e-7, atol=1e-7)
    assert_close(evidence(results), model.log_p_x)
    mean = model.r @ model.w @ model.m.inverse()
    for i, result in enumerate(results):
        assert_close(result.mean, mean[i])
        assert_close(result.covariance, VARIANCE * model.m.inverse())
        assert result.converged


@J
def test_the_divergence_of_gaussians_is_exact(build: Build, latent_dim: int) -> None:
    """From the encoder's q it is torch's; from the exact posterior it is 0."""
    model = ppca(build, latent_dim)
    exact = posterior(model.vae, model.x)

    of_encoder = kl_to_posterior(
        model.vae, model.x, encode_wide(model.vae, model.x), exact
    )
    mean = model.r @ model.w @ model.m.inverse()
    root = torch.linalg.cholesky(VARIANCE * model.m.inverse())
    itself = FullGaussian(mean, root.expand(len(mean), -1, -1))
    of_itself = kl_to_posterior(model.vae, model.x, itself, exact)

    torch.testing.assert_close(of_encoder.value, model.gap, rtol=1e-7, atol=1e-7)
    assert of_itself.value.abs().max() < 1e-7
    assert (of_encoder.error < 1e-6).all()


@pytest.mark.slow("sums over a grid")
@J
def test_a_nonlinear_model_has_the_evidence_of_a_plain_sum(
    build: Build, latent_dim: int
) -> None:
    """A sum over equal steps of 0.02 far into the prior's tails is log p(x)."""
    vae, x = build(latent_dim=latent_dim).requires_grad_(False), binary(3)

    results = posterior(vae, x)

    axis = torch.linspace(-8, 8, 801, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * latent_dim).reshape(-1, 1, latent_dim)
    log_joint = vae.decode(z).log_prob(x) - 0.5 * (
        latent_dim * math.log(2 * math.pi) + z.square().sum(dim=2)
    )
    plain = torch.logsumexp(log_joint, dim=0) + latent_dim * math.log(0.02)
    torch.testing.assert_close(evidence(results), plain, rtol=0, atol=1e-7)


@pytest.mark.slow("integrates over the plane")
@J
def test_all_bits_of_a_binary_model_add_up_to_one(
    build: Build, latent_dim: int
) -> None:
    """Over the 2^4 values of x, the probabilities p(x) sum to 1 to 1e-7."""
    vae = build(latent_dim=latent_dim, data_shape=(4,)).requires_grad_(False)
    bits = torch.arange(16)[:, None] >> torch.arange(4) & 1

    results = posterior(vae, bits.double())

    assert evidence(results).exp().sum() == pytest.approx(1, abs=1e-7)


@J
def test_the_density_integrates_to_one(build: Build, latent_dim: int) -> None:
    """The sum over the grid times the cell is 1, and little mass lies at its edge."""
    vae, x = build(latent_dim=latent_dim).requires_grad_(False), binary(2)

    for result in posterior(vae, x):
        cell = math.prod(float(axis[1] - axis[0]) for axis in result.axes)
        assert float(result.log_density.exp().sum()) * cell == pytest.approx(1)
        assert result.log_density.shape == tuple(len(axis) for axis in result.axes)
        for dim in range(latent_dim):
            ends = result.log_density.select(dim, 0), result.log_density.select(dim, -1)
            assert max(end.max() for end in ends) < result.log_density.max() - 40


@J
def test_a_sharp_posterior_is_zoomed_in_on(build: Build, latent_dim: int) -> None:
    """With 100 times the weights and a sigma of 0.1 it is exact from the prior's q."""
    model = ppca(build, latent_dim)
    layer = model.vae.decoder.mu
    assert isinstance(layer, nn.Linear)
    layer.weight.mul_(100)
    prior = DiagonalGaussian(torch.zeros_like(model.mu), torch.zeros_like(model.mu))

    results = posterior(model.vae, model.x, start=prior)

    torch.testing.assert_close(evidence(results), model.log_p_x, rtol=1e-7, atol=1e-6)
    widths = torch.stack([one.covariance.diagonal() for one in results]).sqrt()
    assert widths.max() < 0.02


def test_a_posterior_far_out_is_found(build: Build) -> None:
    """Where x lies 100 sigma off, the posterior is beyond the prior's grid."""
    model = ppca(build, 1)
    far = model._replace(x=model.x + 100 * model.w[:, 0])

    results = posterior(far.vae, far.x)

    torch.testing.assert_close(evidence(results), far.log_p_x, rtol=1e-9, atol=1e-6)
    assert min(abs(float(one.mean)) for one in results) > 20


def two_modes(build: Build) -> VAE:
    """Return a Gaussian model of x = |z|, nearly, with sigma = 0.11."""
    vae = build(
        data_shape=(1,), latent_dim=1, hidden=(2,), likelihood="gaussian"
    ).requires_grad_(False)
    for parameter in vae.parameters():
        parameter.zero_()
    state = vae.state_dict()
    # mu(z) = 2 tanh 2 - tanh(z + 2) + tanh(z - 2), even in z and 0 at about 0.
    state["decoder.torso.0.weight"].fill_(1.0)
    state["decoder.torso.0.bias"].copy_(torch.tensor([2.0, -2.0]))
    state["decoder.mu.weight"].copy_(torch.tensor([[-1.0, 1.0]]))
    state["decoder.mu.bias"].fill_(2 * math.tanh(2))
    state["decoder.log_var.bias"].fill_(-6.0)
    return vae


def test_a_mode_that_q_knows_nothing_of_counts(build: Build) -> None:
    """Both modes of a symmetric posterior are seen, whichever one q is at."""
    vae, x = two_modes(build), torch.tensor([[1.0]]).double()
    at = torch.tensor([[1.8]]).double()
    q_z = DiagonalGaussian(at, torch.full_like(at, -4.0))

    (result,) = posterior(vae, x, start=q_z)

    assert abs(float(result.mean)) < 1e-9
    assert float(result.covariance) > 1


def test_the_error_is_what_a_finer_grid_changes(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a loose tolerance a coarse grid is kept, and its error covers the truth."""
    model = ppca(build, 2)

    monkeypatch.setattr("model.inference.posterior._TOLERANCE", 0.5)
    loose = posterior(model.vae, model.x)

    off = (evidence(loose) - model.log_p_x).abs()
    assert (off <= torch.tensor([one.error for one in loose]) + 1e-7).all()


def test_no_compiler_is_imported(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what torch needs for it: that would take a second of the first request."""
    for name in ("torch._dynamo", "torch.fx.experimental.symbolic_shapes"):
        monkeypatch.setitem(sys.modules, name, None)  # an import would fail
    model = ppca(build, 2)

    assert all(result.converged for result in posterior(model.vae, model.x))


def test_three_dimensions_are_refused(build: Build) -> None:
    """A grid of three is too many points; the error says what came."""
    with pytest.raises(ValueError, match="at most 2 latent dimensions, got 3"):
        posterior(build(), binary(1))


def test_what_no_grid_resolves_has_not_converged(build: Build) -> None:
    """If float64 has no steps small enough, log p(x) is not finite, nor converged."""
    model = ppca(build, 1)

    (result,) = posterior(model.vae.float(), torch.full((1, 5), 1e16))

    assert not math.isfinite(result.log_p_x)
    assert not result.converged
