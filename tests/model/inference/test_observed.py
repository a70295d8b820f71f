"""The likelihood of a part is a part of the likelihood, and q is fitted to it."""

from collections.abc import Callable

import pytest
import torch

from model.distributions import DiagonalGaussian
from model.inference.observed import fitted, known_values, log_joint, masked_log_prob
from model.inference.variational import balanced_noise
from model.vae import VAE
from tests.model.ppca import random

Build = Callable[..., VAE]


@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)
def test_two_parts_make_the_whole(build: Build, likelihood: str) -> None:
    """Masked log densities of a mask and its complement add up to log p(x|z)."""
    vae = build(likelihood=likelihood).requires_grad_(False)
    x, mask = (random(4, 6) > 0).double(), random(4, 6, seed=1) > 0
    p_x = vae.decode(random(5, 4, 3, seed=2))

    parts = masked_log_prob(p_x, x, mask) + masked_log_prob(p_x, x, ~mask)

    torch.testing.assert_close(parts, p_x.log_prob(x))
    nothing = masked_log_prob(p_x, x, torch.zeros(4, 6).bool())
    assert torch.equal(nothing, torch.zeros(5, 4).double())


def test_the_joint_density_of_everything_is_that_of_the_model(build: Build) -> None:
    """With all observed it is the VAE's own log p(x, z), of any rows in any order."""
    vae = build().requires_grad_(False)
    x, z = (random(4, 6) > 0).double(), random(5, 2, 3, seed=2)
    rows = torch.tensor([3, 1])

    log_p = log_joint(vae, x, torch.ones(4, 6).bool())(rows, z)

    torch.testing.assert_close(log_p, vae.log_joint(x[rows], z))


def test_a_fit_is_better_than_what_it_could_start_from(build: Build) -> None:
    """On the noise it is fitted with, its ELBO is above those of prior and encoder."""
    vae = build().requires_grad_(False)
    observed = torch.eye(5, 6).bool() | (random(5, 6, seed=1) > 0)  # one at least
    x = known_values(vae, (random(5, 6) > 0).double(), observed)
    noise = balanced_noise(3, seed=0)
    log_prob = log_joint(vae, x, observed)

    def bound(q_z: DiagonalGaussian) -> torch.Tensor:
        z = q_z.reparameterize(noise)
        return log_prob(torch.arange(5), z).mean(dim=0) + 0.5 * q_z.log_var.sum(dim=1)

    best = bound(fitted(vae, x, observed, seed=0, tolerance=1e-9, max_steps=200))

    prior = DiagonalGaussian(torch.zeros(5, 3).double(), torch.zeros(5, 3).double())
    assert (best > bound(prior) + 1e-3).all()
    assert (best > bound(vae.encode(x)) + 1e-3).all()
