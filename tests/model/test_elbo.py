"""
The ELBO against models whose log p(x) is known.

Probabilistic PCA (Tipping & Bishop 1999) has every term in closed form; a nonlinear
model of one latent dimension has them by quadrature.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal
from torch.func import functional_call

from model.elbo import elbo
from model.vae import VAE
from tests.model.ppca import VARIANCE, Build, D, N, Ppca, best_ppca, ppca, random

J = pytest.mark.parametrize("latent_dim", [1, 2, 3])
KINDS = pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)


def cubature(latent_dim: int) -> Tensor:
    """
    Return noise of mean 0 and covariance I exactly, (2J, N, J).

    Under it the Monte Carlo mean of a quadratic function of eps has no error.
    """
    corners = math.sqrt(latent_dim) * torch.eye(latent_dim).double()
    return torch.cat([corners, -corners])[:, None].expand(-1, N, -1)


@J
@pytest.mark.parametrize("make", [ppca, best_ppca])
def test_every_term_of_a_linear_gaussian_model_has_its_closed_form(
    build: Build, latent_dim: int, make: Callable[[Build, int], Ppca]
) -> None:
    """On probabilistic PCA both terms and their difference are the exact ones."""
    model = make(build, latent_dim)

    terms = elbo(model.vae, model.x, eps=cubature(latent_dim))

    # The decoder's softplus is the identity from 20 on, 2e-9 off.
    for term, closed_form in (
        (terms.log_likelihood, model.log_likelihood),
        (terms.kl, model.kl),
        (terms.bound, model.log_likelihood - model.kl),
    ):
        torch.testing.assert_close(term, closed_form, rtol=1e-8, atol=1e-8)


@J
@pytest.mark.parametrize("make", [ppca, best_ppca])
def test_the_gap_of_a_linear_gaussian_model_is_a_kl(
    build: Build, latent_dim: int, make: Callable[[Build, int], Ppca]
) -> None:
    """On probabilistic PCA log p(x) - ELBO = KL(q(z|x) || p(z|x)) > 0."""
    model = make(build, latent_dim)

    bound = elbo(model.vae, model.x, eps=cubature(latent_dim)).bound

    gap = model.log_p_x - bound
    torch.testing.assert_close(gap, model.gap, rtol=1e-8, atol=1e-8)
    assert (gap > -1e-8).all()
    assert make is best_ppca or (gap > 0.1).all()


def test_with_the_exact_posterior_the_bound_is_tight(build: Build) -> None:
    """For J = 1 the best diagonal q is p(z|x), and the ELBO is log p(x)."""
    model = best_ppca(build, 1)

    bound = elbo(model.vae, model.x, eps=cubature(1)).bound

    torch.testing.assert_close(bound, model.log_p_x, rtol=1e-8, atol=1e-8)


def test_with_the_exact_posterior_one_point_gives_log_p_x(build: Build) -> None:
    """The identity log p(x) = log p(x|z) + log p(z) - log p(z|x) holds at any z."""
    model = best_ppca(build, 1)
    q_z = model.vae.encode(model.x)
    z = q_z.reparameterize(3 * random(N, 1))

    log_p_x = (
        model.vae.decode(z).log_prob(model.x)
        - 0.5 * (math.log(2 * math.pi) + z.square().sum(dim=1))
        - q_z.log_prob(z)
    )

    torch.testing.assert_close(log_p_x, model.log_p_x, rtol=1e-8, atol=1e-8)


def test_the_evidence_of_the_closed_form_is_that_of_torch(build: Build) -> None:
    """Marginally x ~ N(b, WW' + sigma^2 I)."""
    model = ppca(build, 2)

    log_p_x = model.log_p_x

    covariance = model.w @ model.w.T + VARIANCE * torch.eye(D).double()
    marginal: Distribution = MultivariateNormal(torch.zeros(D).double(), covariance)
    reference: Tensor = marginal.log_prob(model.r)
    torch.testing.assert_close(log_p_x, reference)


def test_the_monte_carlo_term_converges_to_the_closed_form(build: Build) -> None:
    """With K = 50,000 draws it lies within four standard errors, for every example."""
    model = best_ppca(build, 2)
    eps = random(50_000, N, 2)

    estimate = elbo(model.vae, model.x, eps=eps).log_likelihood

    z = model.mu + model.v.sqrt() * eps
    square = (model.r - z @ model.w.T).square().sum(dim=2)
    error = square.std(dim=0) / (2 * VARIANCE * math.sqrt(len(eps)))
    assert ((estimate - model.log_likelihood).abs() < 4 * error).all()
    assert (error < 0.01).all()  # nats: an error bar that says something


def test_the_kl_of_a_linear_gaussian_model_is_exact_in_float32(build: Build) -> None:
    """As served, in float32, the KL is within 1e-6 of the closed form."""
    model = best_ppca(build, 3)
    kl = model.kl

    terms = elbo(model.vae.float(), model.x.float(), eps=cubature(3).float())

    torch.testing.assert_close(terms.kl.double(), kl, rtol=1e-6, atol=1e-6)


def test_the_gap_of_a_nonlinear_model_is_a_kl(build: Build) -> None:
    """For a Bernoulli MLP and J = 1, log p(x) - ELBO = KL(q(z|x) || p(z|x))."""
    vae = build(latent_dim=1).requires_grad_(False)
    x = (random(1, 6, seed=3) > 0).double()
    q_z = vae.encode(x)
    # Equal steps far into both tails integrate smooth functions to rounding.
    eps = torch.linspace(-10, 10, 4001, dtype=torch.float64)[:, None]  # (G, 1)
    step = eps[1] - eps[0]
    z = q_z.reparameterize(eps)
    log_q = q_z.log_prob(z)
    dz = q_z.sigma[0] * step
    log_joint = vae.decode(z).log_prob(x) - 0.5 * (
        math.log(2 * math.pi) + z.square().sum(dim=1)
    )
    wide = torch.linspace(-12, 12, 8001, dtype=torch.float64)[:, None]
    log_p_x = torch.logsumexp(
        vae.decode(wide).log_prob(x) - 0.5 * wide.square().sum(dim=1), dim=0
    ) + torch.log((wide[1] - wide[0]) / math.sqrt(2 * math.pi))

    # One draw for each of G copies of x: the mean under q is a weighted sum of rows.
    bounds = elbo(vae, x.expand(len(eps), -1), eps=eps[None]).bound

    mass = log_q.exp() * dz
    gap = log_p_x - torch.dot(mass, bounds)
    kl = torch.dot(mass, log_q - (log_joint - log_p_x))
    torch.testing.assert_close(gap, kl.expand(1), rtol=1e-8, atol=1e-8)
    assert gap > 0.01


@KINDS
def test_draws_of_z_are_averaged(build: Build, likelihood: str) -> None:
    """The estimate of K draws is the mean of the K estimates of one draw."""
    vae = build(likelihood=likelihood)
    x, eps = random(N, 6).gt(0).double(), random(7, N, 3, seed=1)

    together = elbo(vae, x, eps=eps)

    alone = [elbo(vae, x, eps=eps[k : k + 1]) for k in range(7)]
    mean = sum(one.log_likelihood for one in alone) / 7
    torch.testing.assert_close(together.log_likelihood, mean)
    assert together.log_likelihood.shape == (N,)


@KINDS
def test_an_example_does_not_depend_on_its_batch(build: Build, likelihood: str) -> None:
    """Row i has the terms it has alone, whatever else is in the batch."""
    vae = build(likelihood=likelihood)
    x, eps = random(N, 6).gt(0).double(), random(2, N, 3, seed=1)

    batch = elbo(vae, x, eps=eps)

    for i in range(N):
        row = elbo(vae, x[i : i + 1], eps=eps[:, i : i + 1])
        torch.testing.assert_close(batch.bound[i : i + 1], row.bound)
        torch.testing.assert_close(batch.log_likelihood[i], row.log_likelihood[0])
        torch.testing.assert_close(batch.kl[i], row.kl[0])


def test_the_bound_is_the_log_likelihood_less_the_kl_of_each_dimension(
    build: Build,
) -> None:
    """The KL sums over J dimensions, each not negative, with a weight of one."""
    vae = build().float()

    terms = elbo(vae, random(50, 6).float(), eps=random(1, 50, 3).float())

    assert terms.kl_per_dim is not None
    assert terms.kl_per_dim.shape == (50, 3)
    assert (terms.kl_per_dim >= 0).all()
    torch.testing.assert_close(terms.kl, sum(terms.kl_per_dim[:, j] for j in range(3)))
    torch.testing.assert_close(terms.bound, terms.log_likelihood - terms.kl)


class Bound(nn.Module):
    """The ELBO as a module, so that its parameters can be replaced."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, eps: Tensor) -> Tensor:
        """Return the ELBO of each example."""
        return elbo(self.vae, x, eps=eps).bound


@pytest.mark.slow("computes many gradients")
@pytest.mark.parametrize(
    "changes",
    [
        {"likelihood": "bernoulli"},
        {"likelihood": "continuous_bernoulli"},
        {"likelihood": "gaussian", "standardized": True},
        {"likelihood": "gaussian", "data_shape": (3, 2), "channels": (2,)},
    ],
    ids=["bernoulli", "continuous", "gaussian", "conv"],
)
def test_the_gradient_is_that_of_finite_differences(
    build: Build, changes: dict[str, object]
) -> None:
    """In theta and phi alike, through the reparameterised draws."""
    bound = Bound(build(hidden=(3,), latent_dim=2, **changes))
    names = [name for name, _ in bound.named_parameters()]
    x, eps = random(2, 6).gt(0).double(), random(2, 2, 2, seed=1)

    def at(*parameters: Tensor) -> Tensor:
        values = dict(zip(names, parameters, strict=True))
        terms: Tensor = functional_call(bound, values, (x, eps))
        return terms

    assert torch.autograd.gradcheck(at, tuple(bound.parameters()))
