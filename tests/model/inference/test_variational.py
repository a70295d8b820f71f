"""A Gaussian fitted to a log joint density is the best one there is."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from model.distributions import DiagonalGaussian
from model.inference.variational import LogJoint, balanced_noise, fit

N, J = 3, 2


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def standard() -> DiagonalGaussian:
    """Return N(0, I) for every row."""
    return DiagonalGaussian(torch.zeros(N, J), torch.zeros(N, J))


@pytest.mark.parametrize("latent_dim", [1, 2, 7, 8, 30])
def test_balanced_noise_has_mean_0_and_covariance_i(latent_dim: int) -> None:
    """To rounding, for every J, the same points for every row."""
    eps = balanced_noise(latent_dim, seed=3)

    assert eps.shape[1:] == (1, latent_dim)
    eps = eps[:, 0]
    wanted = torch.eye(latent_dim).double()
    torch.testing.assert_close(eps.T @ eps / len(eps), wanted, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        eps.mean(dim=0), torch.zeros(latent_dim).double(), rtol=0, atol=1e-15
    )


def test_balanced_noise_depends_on_the_seed_alone() -> None:
    """The same seed gives the same bits, another one other noise."""
    first, again, other = (balanced_noise(4, seed=s) for s in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_fit_to_a_gaussian_matches_mean_and_precision() -> None:
    """The KL-best diagonal q has the mean and the diagonal of the precision matrix."""
    factor = random(N, J, J)
    precision = factor @ factor.mT + torch.eye(J).double()
    mean = 3 * random(N, J, seed=1)
    target = MultivariateNormal(mean, precision_matrix=precision)

    def log_joint(rows: Tensor, z: Tensor) -> Tensor:
        r = z - mean[rows]
        return -0.5 * torch.einsum("krj,rji,kri->kr", r, precision[rows], r)

    q_z = fit(
        log_joint,
        standard(),
        eps=balanced_noise(J, seed=0),
        tolerance=1e-13,
        max_steps=200,
    )

    torch.testing.assert_close(q_z.mu, mean, rtol=0, atol=1e-6)
    diagonal = precision.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(q_z.log_var, -diagonal.log(), rtol=0, atol=1e-6)
    # Nobody is closer: moving any parameter raises the KL that torch computes.
    fitted = MultivariateNormal(q_z.mu, torch.diag_embed(q_z.log_var.exp()))
    for shift in (1e-2, -1e-2):
        moved = MultivariateNormal(
            q_z.mu, torch.diag_embed((q_z.log_var + shift).exp())
        )
        assert (kl_divergence(moved, target) > kl_divergence(fitted, target)).all()


def test_the_fit_to_a_skewed_density_is_where_quadrature_has_its_best() -> None:
    """For log p(x, z) = z - e^z - z^2/2 no mu and log_var on a grid do better."""

    def log_joint(_: Tensor, z: Tensor) -> Tensor:
        return (z - z.exp() - 0.5 * z.square()).sum(dim=-1)

    # Many balanced points: K of the estimate, not the fit, is what limits it.
    eps = torch.cat([balanced_noise(1, seed=s) for s in range(400)])
    q_z = fit(log_joint, one_row(), eps=eps, tolerance=1e-12, max_steps=100)

    nodes = torch.linspace(-9, 9, 2001).double()
    weight = torch.exp(-0.5 * nodes**2) * (nodes[1] - nodes[0])
    weight = weight / math.sqrt(2 * math.pi)

    def bound(mu: float, log_var: float) -> float:
        z = mu + math.exp(0.5 * log_var) * nodes
        return float(torch.dot(weight, log_joint(z, z[:, None]))) + 0.5 * log_var

    mu, log_var = float(q_z.mu), float(q_z.log_var)
    best = max(
        bound(mu + a, log_var + b)
        for a in (-0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3)
        for b in (-0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3)
    )
    assert best - bound(mu, log_var) < 1e-3


def one_row() -> DiagonalGaussian:
    """Return N(0, 1) for one row of one latent dimension."""
    return DiagonalGaussian(torch.zeros(1, 1), torch.zeros(1, 1))


def test_at_the_prior_with_no_data_there_is_nothing_to_fit() -> None:
    """With log p(z) alone the standard normal start is kept to the bit."""
    prior: LogJoint = lambda _, z: -0.5 * z.square().sum(dim=-1)  # noqa: E731

    q_z = fit(
        prior, standard(), eps=balanced_noise(J, seed=0), tolerance=1e-12, max_steps=9
    )

    assert torch.equal(q_z.mu, torch.zeros(N, J).double())
    torch.testing.assert_close(
        q_z.log_var, torch.zeros(N, J).double(), rtol=0, atol=1e-12
    )
