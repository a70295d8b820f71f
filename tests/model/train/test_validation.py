"""The epoch is selected by what is trained on, with as many draws as asked for."""

import dataclasses
from typing import Any

import pytest
import torch

from model.config import Config
from model.dataset_elbo import estimate_elbo
from model.elbo import elbo
from model.train.objectives import free_bits_elbo, mean_elbo
from model.train.options import RunOptions
from model.train.validation import chosen_objective, validate
from model.vae import VAE, initial_vae

OPTIONS = RunOptions(validation_samples=3)


@pytest.fixture
def vae(document: dict[str, Any]) -> VAE:
    """Return a small model of bits."""
    return initial_vae(Config.model_validate(document), seed=0)


def bits(n: int) -> torch.Tensor:
    """Return rows of bits."""
    draw = torch.Generator().manual_seed(0)
    return (torch.rand(n, 6, generator=draw) < 0.5).float()


def test_the_bound_is_the_elbo_of_so_many_draws(vae: VAE) -> None:
    """With neither a weight nor free bits it is that of `estimate_elbo`."""
    x = bits(20)

    found = validate(vae, x, OPTIONS)

    wanted = estimate_elbo(vae, x, n_samples=3, seed=0).bound.mean()
    assert found.bound == wanted == found.evaluation.bound.mean()


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("free_bits", [0.0, 0.01, 5.0])
def test_the_bound_has_the_weights_of_the_loss(
    vae: VAE, beta: float, free_bits: float
) -> None:
    """E[log p(x|z)] - beta sum_j max(free bits, KL_j); the ELBO has none of them."""
    x = bits(20)
    options = dataclasses.replace(OPTIONS, beta=beta, free_bits=free_bits)

    found = validate(vae, x, options)

    plain = estimate_elbo(vae, x, n_samples=3, seed=0)
    q_z = vae.encode(x)
    per_dim = q_z.kl_to_standard_normal().detach().mean(dim=0)
    kl = per_dim.clamp(min=free_bits).sum()
    wanted = plain.log_likelihood.mean() - beta * float(kl)
    assert found.bound == pytest.approx(wanted, rel=1e-5)
    assert found.evaluation.bound.mean() == plain.bound.mean()


def test_free_bits_cost_nothing_and_pull_nowhere(vae: VAE) -> None:
    """Below the threshold the KL has no gradient; far above it is the plain loss."""
    x, weight = bits(8), torch.tensor(1.0)
    eps = torch.zeros(1, 8, 3)

    free, _ = free_bits_elbo(50.0)(vae, x, eps, weight)
    (gradient,) = torch.autograd.grad(free, vae.encoder.log_var.bias)
    costly, terms = free_bits_elbo(1e-9)(vae, x, eps, weight)
    plain, wanted = mean_elbo(vae, x, eps, weight)

    bound = elbo(vae, x, eps=eps)
    assert free.item() == pytest.approx(150 - bound.log_likelihood.mean().item())
    assert gradient.abs().max() == 0  # with eps = 0, z does not depend on it either
    assert costly.item() == pytest.approx(plain.item())
    assert terms == wanted


def test_the_objective_is_the_one_asked_for() -> None:
    """Free bits have their own."""
    free = chosen_objective(dataclasses.replace(OPTIONS, free_bits=0.1))

    assert chosen_objective(OPTIONS) is mean_elbo
    assert free is not mean_elbo
