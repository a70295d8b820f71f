"""The fast formulas give the numbers of the likelihood's own, and its gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.inference.likelihood import (
    log_joint,
    log_likelihood,
    log_likelihood_with_gradient,
)
from model.inference.observed import masked_log_prob
from model.vae import VAE
from tests.model.ppca import bias, random, weight

Build = Callable[..., VAE]
LIKELIHOODS = pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)
MASKS = pytest.mark.parametrize("is_masked", [False, True])


def example(build: Build, likelihood: str, *, d: int = 6) -> tuple[VAE, Tensor]:
    """Return a model of d dimensions and four rows of data."""
    vae = build(likelihood=likelihood, data_shape=(d,)).requires_grad_(False)
    return vae, (random(4, d) > 0).double()


@MASKS
@LIKELIHOODS
@pytest.mark.parametrize("d", [5, 6, 64])
def test_values_and_gradients_are_those_of_the_formula(
    build: Build, likelihood: str, d: int, is_masked: bool
) -> None:
    """For any number of factors in a product, of all values or of a part of them."""
    vae, x = example(build, likelihood, d=d)
    observed = random(4, d, seed=1) > 0 if is_masked else None
    z = random(5, 4, 3, seed=2).requires_grad_()
    mask = torch.ones(4, d).bool() if observed is None else observed
    wanted = masked_log_prob(vae.decode(z), x, mask)
    (wanted_slope,) = torch.autograd.grad(wanted.sum(), z)

    found = log_likelihood_with_gradient(vae, x, z, observed)

    (slope,) = torch.autograd.grad(found.sum(), z)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(slope, wanted_slope)
    torch.testing.assert_close(log_likelihood(vae, x, z, observed), wanted)
    joint = log_joint(vae, x, z, observed)
    torch.testing.assert_close(joint, wanted + vae.p_z.log_prob(z))


@MASKS
def test_saturated_logits_give_finite_values(build: Build, is_masked: bool) -> None:
    """Where exp overflows, log p(x_d|z) is -|eta| or 0, with a slope of -1 or 0."""
    vae, x = example(build, "bernoulli")
    vae = vae.float()
    eta = vae.decoder.get_submodule("eta")
    weight(eta).zero_()
    weight(eta)[:, 0] = 1000.0
    bias(eta).fill_(500.0)
    observed = torch.ones(4, 6).bool() if is_masked else None
    z = random(5, 4, 3, seed=2).float().requires_grad_()
    wanted = masked_log_prob(vae.decode(z), x.float(), torch.ones(4, 6).bool())
    (wanted_slope,) = torch.autograd.grad(wanted.sum(), z)

    found = log_likelihood_with_gradient(vae, x.float(), z, observed)

    (slope,) = torch.autograd.grad(found.sum(), z)
    assert found.isfinite().all()
    assert found.min() < -100
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(slope, wanted_slope)
    torch.testing.assert_close(log_likelihood(vae, x.float(), z, observed), wanted)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("data_dim", [6, 7, 48])
def test_a_likelihood_of_binary_x_is_the_sum_over_pixels(
    build: Build, data_dim: int, scale: float
) -> None:
    """Whatever the number of pixels, and where a product of factors overflows."""
    vae = build(data_shape=(data_dim,)).requires_grad_(False)
    x, z = random(4, data_dim).gt(0).double(), scale * random(5, 4, 3, seed=1)

    value = log_likelihood(vae, x, z)

    torch.testing.assert_close(value, vae.decode(z).log_prob(x))
    narrow = log_likelihood(vae.float(), x.float(), z)
    torch.testing.assert_close(narrow, value, rtol=1e-5, atol=1e-4)
