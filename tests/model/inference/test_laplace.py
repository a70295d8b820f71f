"""The Gaussian at the mode is the posterior where the posterior is Gaussian."""

import math
import sys

import pytest
import torch
from torch import Tensor

from model.inference.bounds import importance_weighted
from model.inference.laplace import laplace
from model.inference.refinement import elbo_replicates
from model.vae import VAE
from tests.model.ppca import VARIANCE, Build, ppca, random

J = pytest.mark.parametrize("latent_dim", [1, 2, 3])


def binary(n: int, *, seed: int = 3) -> Tensor:
    """Return binary rows, (n, 6)."""
    return (random(n, 6, seed=seed) > 0).double()


@J
def test_the_posterior_of_a_linear_gaussian_model_is_found(
    build: Build, latent_dim: int
) -> None:
    """N(M^-1 W'r, sigma^2 M^-1), with the model's log p(x)."""
    model = ppca(build, latent_dim)

    result = laplace(model.vae, model.x)

    q_z = result.q_z
    torch.testing.assert_close(q_z.mu, model.r @ model.w @ model.m.inverse())
    covariance = q_z.scale_tril @ q_z.scale_tril.transpose(1, 2)
    exact = (VARIANCE * model.m.inverse()).expand_as(covariance)
    # The decoder's softplus is the identity from 20 on, 2e-9 off.
    torch.testing.assert_close(covariance, exact, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(result.log_p_x, model.log_p_x, rtol=1e-8, atol=1e-8)
    assert result.is_mode.all()


@J
def test_its_bounds_are_tight_in_a_linear_gaussian_model(
    build: Build, latent_dim: int
) -> None:
    """Both its ELBO and its importance-weighted bound are log p(x)."""
    model = ppca(build, latent_dim)
    q_z = laplace(model.vae, model.x).q_z

    elbos = elbo_replicates(model.vae, model.x, q_z, seed=0)
    bound = importance_weighted(model.vae, model.x, n_samples=1, seed=0, proposal=q_z)

    torch.testing.assert_close(
        elbos, model.log_p_x[:, None].expand_as(elbos), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(bound.bound.value, model.log_p_x, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"likelihood": "continuous_bernoulli"},
        {"likelihood": "gaussian", "standardized": True},
        {"data_shape": (3, 2), "channels": (2,)},
    ],
    ids=["bernoulli", "continuous", "gaussian", "conv"],
)
def test_the_mode_is_a_maximum_of_the_joint_density(
    build: Build, changes: dict[str, object]
) -> None:
    """
    A step of 1e-3 from it changes log p(x, z) as its precision says, to third order.

    That is minus 1/2 d'Hd for a step d, and less for every d.
    """
    vae, x = build(latent_dim=2, **changes).requires_grad_(False), binary(4)

    result = laplace(vae, x)

    assert result.is_mode.all()
    root = result.q_z.scale_tril
    precision = (root @ root.transpose(1, 2)).inverse()
    for step in torch.tensor([[1e-3, 0], [0, -1e-3], [1e-3, 1e-3]]).double():
        change = vae.log_joint(x, result.q_z.mu + step) - result.log_joint
        bend = 0.5 * torch.einsum("i,nij,j->n", step, precision, step)
        torch.testing.assert_close(change, -bend, rtol=0.05, atol=1e-9)
        assert (change < 0).all()


def test_a_row_does_not_depend_on_its_company(build: Build) -> None:
    """Alone it has the same mode and covariance."""
    vae, x = build(latent_dim=2).requires_grad_(False), binary(5)

    together, alone = laplace(vae, x), laplace(vae, x[2:3])

    torch.testing.assert_close(alone.q_z.mu[0], together.q_z.mu[2])
    torch.testing.assert_close(alone.q_z.scale_tril[0], together.q_z.scale_tril[2])


def test_a_climb_that_is_cut_short_is_no_mode(build: Build) -> None:
    """After one step of a long way it says so, and the Gaussian is proper still."""
    model = ppca(build, 2)

    result = laplace(model.vae, model.x, max_steps=1)

    assert not result.is_mode.any()
    assert torch.isfinite(result.q_z.scale_tril).all()


def _saddle(build: Build) -> VAE:
    """Return a model whose p(x|z), of sigma = 0.11, is at its least at z = 0."""
    vae = build(
        data_shape=(1,), latent_dim=1, hidden=(2,), likelihood="gaussian"
    ).requires_grad_(False)
    for parameter in vae.parameters():
        parameter.zero_()
    state = vae.state_dict()
    # mu(z) = tanh(2 z + 2) - tanh(2 z - 2) - 2 tanh(2), even in z and 0 at 0.
    state["decoder.torso.0.weight"].copy_(torch.tensor([[2.0], [2.0]]))
    state["decoder.torso.0.bias"].copy_(torch.tensor([2.0, -2.0]))
    state["decoder.mu.weight"].copy_(torch.tensor([[1.0, -1.0]]))
    state["decoder.mu.bias"].fill_(-2 * math.tanh(2))
    state["decoder.log_var.bias"].fill_(-6.0)
    return vae


def test_a_point_without_curvature_downwards_is_no_mode(build: Build) -> None:
    """Where the climb starts on a minimum it stays there, and says it is none."""
    vae = _saddle(build)

    result = laplace(vae, torch.tensor([[-1.5]]).double())

    assert result.q_z.mu.abs().max() < 1e-9
    assert not result.is_mode.any()
    torch.testing.assert_close(
        result.q_z.scale_tril, torch.full((1, 1, 1), 10.0).double()
    )


def test_no_compiler_is_imported(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what torch needs for it: that would take a second of the first request."""
    for name in ("torch._dynamo", "torch.fx.experimental.symbolic_shapes"):
        monkeypatch.setitem(sys.modules, name, None)  # an import would fail
    model = ppca(build, 2)

    result = laplace(model.vae, model.x)

    assert result.is_mode.all()
