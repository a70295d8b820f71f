"""Proposals are the distributions they say, and weigh what the definition says."""

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    MultivariateNormal,
    Normal,
)

from model.distributions import DiagonalGaussian
from model.inference.proposals import (
    FullGaussian,
    encode_wide,
    log_weight,
)
from tests.model.ppca import Build, random


def full(n: int, latent_dim: int) -> FullGaussian:
    """Return any Gaussians of full covariance."""
    root = random(n, latent_dim, latent_dim).tril(-1)
    scale = random(n, latent_dim, seed=1).exp()
    return FullGaussian(random(n, latent_dim, seed=2), root + torch.diag_embed(scale))


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_a_full_gaussian_has_the_density_of_torch(latent_dim: int) -> None:
    """Its log density is that of a multivariate normal, also for K draws."""
    q_z, z = full(3, latent_dim), random(4, 3, latent_dim, seed=3)

    log_prob = q_z.log_prob(z)

    reference: Distribution = MultivariateNormal(q_z.mu, scale_tril=q_z.scale_tril)
    expected: Tensor = reference.log_prob(z)
    torch.testing.assert_close(log_prob, expected)


def test_a_full_gaussian_draws_what_its_density_says() -> None:
    """Draws have its mean and covariance, exactly those of matched noise."""
    q_z = full(3, 2)
    eps = 2**0.5 * torch.cat([torch.eye(2), -torch.eye(2)]).double()

    z = q_z.reparameterize(eps[:, None])  # (4, 3, 2)

    torch.testing.assert_close(z.mean(dim=0), q_z.mu)
    centered = z - q_z.mu
    covariance = torch.einsum("kni,knj->nij", centered, centered) / 4
    expected = q_z.scale_tril @ q_z.scale_tril.transpose(1, 2)
    torch.testing.assert_close(covariance, expected)


def test_rows_are_the_examples_at_their_index() -> None:
    """Both families give the parameters at the index."""
    index = torch.tensor([2, 0])

    q_z = full(3, 2)

    diagonal = DiagonalGaussian(q_z.mu, q_z.mu + 1).rows(index)
    assert torch.equal(diagonal.mu, q_z.mu[index])
    assert torch.equal(diagonal.log_var, q_z.mu[index] + 1)
    assert torch.equal(q_z.rows(index).mu, q_z.mu[index])
    assert torch.equal(q_z.rows(index).scale_tril, q_z.scale_tril[index])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"likelihood": "continuous_bernoulli"},
        {"likelihood": "gaussian", "standardized": True},
    ],
    ids=["bernoulli", "continuous", "gaussian"],
)
def test_a_weight_is_joint_over_proposal(
    build: Build, changes: dict[str, object]
) -> None:
    """It is log p(x|z) + log p(z) - log q(z|x), the last two by torch."""
    vae = build(**changes).requires_grad_(False)
    x, eps = random(4, 6).gt(0).double(), random(5, 4, 3, seed=1)
    q_z = encode_wide(vae, x)

    weight = log_weight(vae, x, q_z, eps)

    z = q_z.mu + q_z.sigma * eps
    prior: Distribution = Normal(torch.zeros(3).double(), 1)
    proposal: Distribution = Normal(q_z.mu, q_z.sigma)
    log_p_z: Tensor = prior.log_prob(z)
    log_q_z: Tensor = proposal.log_prob(z)
    expected = vae.decode(z).log_prob(x) + (log_p_z - log_q_z).sum(dim=2)
    torch.testing.assert_close(weight, expected)


def test_a_weight_is_in_float64_without_a_gradient(build: Build) -> None:
    """Also of a model in float32 whose parameters ask for one."""
    vae, x = build().float(), random(4, 6).gt(0).float()

    q_z = encode_wide(vae, x)

    assert q_z.mu.dtype == q_z.log_var.dtype == torch.float64
    assert not q_z.mu.requires_grad
    assert log_weight(vae, x, q_z, random(5, 4, 3)).dtype == torch.float64
