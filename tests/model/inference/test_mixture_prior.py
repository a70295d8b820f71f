"""E_q[log p(z)] under mixtures agrees with quadrature, and so does its error."""

import math

import pytest
import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.estimate import Estimate
from model.inference.mixture_prior import split_prior
from model.inference.proposals import FullGaussian, Gaussian
from model.noise import Stream
from model.prior import GaussianMixture, StandardNormal
from model.row_noise import RowNoise
from tests.model.ppca import random

J = 3
N_SEEDS = 300
# Means, log variances and weights along the first axis; mean and deviation of q there.
CASES = {
    "a second component far off": ([0.0, 4.0], [-3.0, -3.0], [0.5, 0.5], 0.0, 0.5),
    "a wide one around a narrow one": ([0.0, 0.0], [-5.0, 0.0], [0.95, 0.05], 0.0, 0.1),
    "two that overlap": ([-0.5, 0.7], [0.0, -0.5], [0.3, 0.7], 0.1, 0.8),
    "four on a line": (
        [-3.0, 0.0, 2.0, 9.0],
        [-2.0, -3.0, -3.0, 0.0],
        [0.2, 0.3, 0.4, 0.1],
        0.3,
        0.4,
    ),
    "one alone": ([0.3], [-1.0], [1.0], 0.0, 0.5),
}
Case = tuple[list[float], list[float], list[float], float, float]


def mixture(case: Case) -> GaussianMixture:
    """Return a prior whose components differ along the first axis only."""
    means, log_vars, weights, _, _ = case
    mu, log_var = torch.zeros(len(means), J), torch.zeros(len(means), J)
    mu[:, 0], log_var[:, 0] = torch.tensor(means), torch.tensor(log_vars)
    return GaussianMixture(torch.tensor(weights).double().log(), mu, log_var)


def posterior(case: Case) -> DiagonalGaussian:
    """Return q of one example."""
    mu, log_var = torch.full((1, J), 0.2).double(), torch.full((1, J), -1.0).double()
    mu[:, 0], log_var[:, 0] = case[3], 2 * math.log(case[4])
    return DiagonalGaussian(mu, log_var)


def exact(p_z: GaussianMixture, q_z: DiagonalGaussian) -> float:
    """Return E_q[log p(z)]: quadrature along the first axis, closed form elsewhere."""
    grid = torch.linspace(-12, 12, 40_001, dtype=torch.float64)[:, None]
    first = [0]
    q_first = DiagonalGaussian(q_z.mu[0, :1], q_z.log_var[0, :1])
    mass = torch.softmax(q_first.log_prob(grid), dim=0)
    others = DiagonalGaussian(q_z.mu[:, 1:], q_z.log_var[:, 1:])
    entropy = 0.5 * (1 + math.log(2 * math.pi) + others.log_var).sum()
    kl = StandardNormal(J - 1).kl(others, others.mu)
    return float(mass @ p_z.marginal(first).log_prob(grid) - kl - entropy)


def estimates(p_z: GaussianMixture, q_z: Gaussian, mean: Tensor) -> Estimate:
    """Return E_q[log p(z)] under many seeds; `mean` is that of q's squares."""
    found = []
    for seed in range(N_SEEDS):
        noise = RowNoise.at(
            torch.tensor([0]), seed=seed, stream=Stream.EVALUATION, part=1
        )
        h, rest = split_prior(p_z, q_z, noise, n_replicates=16)
        # The mean of a quadratic function of z with independent dimensions.
        sigma = (mean - q_z.mu.square()).sqrt()
        shifts = torch.cat([torch.diag_embed(sigma[0]), -torch.diag_embed(sigma[0])])
        around = h(q_z.mu + shifts).sum() - 2 * J * h(q_z.mu)
        found.append(rest.expand(16) + h(q_z.mu) + 0.5 * around)
    return Estimate.mean(torch.stack(found))


@pytest.mark.slow("computes many estimates")
@pytest.mark.parametrize("name", CASES)
def test_its_error_covers_rare_terms(name: str) -> None:
    """
    Under 300 seeds, estimates lie around the truth as a t of 16 replicates does.

    93.6 % of its mass is within 2 standard errors, and 99.1 % within 3. The mean has no
    bias.
    """
    case = CASES[name]
    p_z, q_z = mixture(case), posterior(case)

    found = estimates(p_z, q_z, q_z.mu.square() + q_z.log_var.exp())

    off = found.value - exact(p_z, q_z)
    ratio = off.abs() / (found.standard_error + 1e-9)
    assert (ratio <= 2).double().mean() >= 0.89
    assert (ratio <= 3).double().mean() >= 0.97
    assert off.mean().abs() <= 4 * off.std() / math.sqrt(N_SEEDS) + 1e-9
    assert found.standard_error.max() < 0.05


@pytest.mark.slow("draws many")
def test_a_full_covariance_has_the_same_mean_as_its_draws() -> None:
    """For a correlated q, within 4 standard errors of the mean over 400,000 draws."""
    case = CASES["four on a line"]
    p_z, root = mixture(case), 0.4 * torch.eye(J).double()
    root[1, 0] = root[2, 1] = 0.3
    q_z = FullGaussian(torch.full((1, J), 0.2).double(), root[None])
    z = q_z.reparameterize(random(400_000, 1, J))[:, 0]

    noise = RowNoise.at(torch.tensor([0]), seed=0, stream=Stream.EVALUATION, part=1)
    h, rest = split_prior(p_z, q_z, noise, n_replicates=1000)

    draws = p_z.log_prob(z) - h(z)
    error = math.hypot(float(draws.std()) / 400_000**0.5, float(rest.std()) / 1000**0.5)
    assert abs(float(rest.mean() - draws.mean())) < 4 * error


def test_a_standard_normal_has_no_rest() -> None:
    """Its log density is the quadratic function itself."""
    noise = RowNoise.at(torch.tensor([0]), seed=0, stream=Stream.EVALUATION, part=1)
    p_z, z = StandardNormal(J), random(5, J)

    h, rest = split_prior(p_z, posterior(CASES["one alone"]), noise, n_replicates=16)

    assert torch.equal(h(z), p_z.log_prob(z))
    assert float(rest) == 0
