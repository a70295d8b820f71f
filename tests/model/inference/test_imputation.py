"""
Imputations against models whose p(x_m | x_o) is known.

Under probabilistic PCA x is Gaussian, and so is every part of it given the rest
(Bishop 2006, eq. 2.81 and 2.82); a Bernoulli MLP of one latent has it by quadrature.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from model.inference.imputation import Latents, impute, latents, log_prob_missing
from model.noise import Stream, standard_normal
from model.vae import VAE
from tests.model.ppca import VARIANCE, D, N, Ppca, bias, ppca, random, weight

Build = Callable[..., VAE]

OBSERVED = torch.tensor(
    [[1, 0, 1, 0, 1], [0, 0, 0, 1, 0], [1, 1, 1, 1, 0], [0, 1, 1, 0, 1]]
).bool()
LATENT_DIMS = pytest.mark.parametrize("latent_dim", [1, 2])


class Conditional(NamedTuple):
    """Mean, (M,), and covariance, (M, M), of x_m given x_o, and log p(x_o)."""

    mean: Tensor
    covariance: Tensor
    log_p_observed: Tensor


def conditional(model: Ppca, n: int) -> Conditional:
    """Condition the joint Gaussian of row n on what is observed of it."""
    o, m = OBSERVED[n], ~OBSERVED[n]
    c = model.w @ model.w.T + VARIANCE * torch.eye(D).double()
    b = bias(model.vae.decoder.mu)
    gain = c[m][:, o] @ c[o][:, o].inverse()
    marginal = MultivariateNormal(b[o], c[o][:, o])
    log_p: Tensor = marginal.log_prob(model.x[n, o])  # type: ignore[no-untyped-call]
    return Conditional(
        mean=b[m] + gain @ (model.x[n, o] - b[o]),
        covariance=c[m][:, m] - gain @ c[o][:, m],
        log_p_observed=log_p,
    )


def given(model: Ppca, *, n_draws: int = 20_000, seed: int = 0) -> Latents:
    """Return the latents given the observed part of every row, fitted tightly."""
    return latents(
        model.vae, model.x, OBSERVED, n_draws=n_draws, seed=seed, tolerance=1e-13
    )


@LATENT_DIMS
def test_q_of_the_observed_part_is_the_closest_to_its_posterior(
    build: Build, latent_dim: int
) -> None:
    """Its mean is M^-1 W_o'r_o and its precision is diag M / sigma^2, by x_o alone."""
    model = ppca(build, latent_dim)

    q_z = given(model, n_draws=1).q_z

    for n in range(N):
        w, r = model.w[OBSERVED[n]], model.r[n, OBSERVED[n]]
        m = w.T @ w + VARIANCE * torch.eye(latent_dim).double()
        torch.testing.assert_close(q_z.mu[n], m.inverse() @ w.T @ r, rtol=0, atol=1e-6)
        variance = VARIANCE / m.diagonal()
        torch.testing.assert_close(q_z.log_var[n].exp(), variance, rtol=1e-5, atol=0)


@LATENT_DIMS
def test_the_evidence_of_the_observed_part_is_that_of_its_marginal(
    build: Build, latent_dim: int
) -> None:
    """It is within 5 standard errors of the marginal Gaussian's."""
    model = ppca(build, latent_dim)

    found = given(model)

    wanted = torch.stack([conditional(model, n).log_p_observed for n in range(N)])
    # The log of a mean of K weights of relative variance K / ESS - 1.
    error = ((20_000 / found.effective_sample_size - 1) / 20_000).clamp(min=0).sqrt()
    assert (error < 0.02).all()
    assert ((found.log_p_observed - wanted).abs() < 5 * error + 1e-6).all()


def test_draws_from_the_exact_posterior_have_equal_weights(build: Build) -> None:
    """For J = 1 and K < 10, all from q, any draw gives log p(x_o), and ESS is K."""
    model = ppca(build, 1)

    found = given(model, n_draws=9)

    wanted = torch.stack([conditional(model, n).log_p_observed for n in range(N)])
    torch.testing.assert_close(found.log_p_observed, wanted, rtol=0, atol=1e-6)
    ess = found.effective_sample_size
    torch.testing.assert_close(ess, torch.full((N,), 9.0).double(), rtol=1e-6, atol=0)


def test_a_tenth_of_the_draws_are_from_the_prior(build: Build) -> None:
    """They bound the weights: of K draws none is above p(x_o|z) / 0.1."""
    model = ppca(build, 1)

    found = given(model, n_draws=1000)

    eps = [
        standard_normal((100, 1), seed=0, stream=Stream.IMPUTATION, index=(n, 0))
        for n in range(N)
    ]
    first = torch.from_numpy(np.stack(eps, axis=1)).double()
    assert torch.equal(found.z[:100], first)
    rest = found.z[100:] - found.q_z.mu
    assert (rest.abs().amax(dim=0) < 5 * found.q_z.sigma).all()
    log_w = found.log_weights + found.log_p_observed + math.log(1000)
    per_dim = model.vae.decode(found.z).log_prob_per_dim(model.x)
    log_p = torch.where(OBSERVED, per_dim, 0.0).sum(dim=-1)
    assert (log_w <= log_p + math.log(10) + 1e-9).all()


def test_what_q_leaves_out_is_found(build: Build) -> None:
    """
    A posterior with two modes, of which q fits one, is covered all the same.

    The decoder's mean is about (z - 0.2)^2, so z given x = 1.5 is near 1.4 or -1.
    """
    vae = build(latent_dim=1, data_shape=(2,), hidden=(400,), likelihood="gaussian")
    vae = vae.requires_grad_(False)
    steps = vae.decoder.get_submodule("torso.0")
    knots = torch.linspace(-4, 4, 400).double()
    weight(steps).fill_(20.0)  # of tanh, that climb along the parabola
    bias(steps).copy_(-20 * knots)
    heights = (knots - 0.2) * (knots[1] - knots[0])
    weight(vae.decoder.mu).copy_(torch.stack([heights, 0 * heights]))
    lowest = vae.decode(knots[:, None]).mean.amin(dim=0)
    bias(vae.decoder.mu).sub_(lowest)
    weight(vae.decoder.log_var).zero_()
    bias(vae.decoder.log_var).fill_(math.log(0.05))
    x = torch.tensor([[1.5, math.nan]]).double()

    found = latents(vae, x, x.isfinite(), n_draws=20_000, seed=1)

    z = torch.linspace(-8, 8, 4001).double()[:, None]
    log_joint = vae.decode(z).log_prob_per_dim(x)[:, 0] - 0.5 * z[:, 0] ** 2
    mass = torch.softmax(log_joint, dim=0)
    right = float(mass[z[:, 0] > 0.2].sum())
    assert 0.2 < right < 0.8
    assert float(found.q_z.sigma) < 0.3  # one mode only
    shares = found.log_weights.exp()[found.z[..., 0] > 0.2]
    # About 100 effective draws of the far mode come from the 2,000 of the prior.
    assert float(shares.sum()) == pytest.approx(right, abs=0.1)


@LATENT_DIMS
def test_mean_and_variance_are_those_of_the_conditional_gaussian(
    build: Build, latent_dim: int
) -> None:
    """Within 5 standard errors of 20,000 weighted draws, where each is missing."""
    model = ppca(build, latent_dim)
    latents_ = given(model)

    found = impute(model.vae, model.x, OBSERVED, latents_, n_samples=1, seed=0)

    for n in range(N):
        m, wanted = ~OBSERVED[n], conditional(model, n)
        between = wanted.covariance.diagonal() - VARIANCE  # of E[x|z], the only noise
        error = (between / latents_.effective_sample_size[n]).sqrt()
        assert ((found.mean[n, m] - wanted.mean).abs() < 5 * error).all()
        # A Gaussian's squared deviation has a variance of 2 between^2.
        error = between * (2 / latents_.effective_sample_size[n]).sqrt()
        difference = found.variance[n, m] - wanted.covariance.diagonal()
        assert (difference.abs() < 5 * error + 1e-8).all()
        assert (error < 0.05).all()


@LATENT_DIMS
def test_draws_have_the_joint_distribution_of_the_conditional(
    build: Build, latent_dim: int
) -> None:
    """Whitened by the conditional covariance, 20,000 draws are standard normal."""
    model = ppca(build, latent_dim)

    x = impute(model.vae, model.x, OBSERVED, given(model), n_samples=20_000, seed=0).x

    for n in range(N):
        wanted, draws = conditional(model, n), x[:, n, ~OBSERVED[n]]
        factor = torch.linalg.cholesky(wanted.covariance)
        u = torch.linalg.solve_triangular(factor, (draws - wanted.mean).T, upper=False)
        # Draws and the 20,000 latents they are chosen from both have errors.
        error = math.sqrt(2 / 20_000)
        assert (u.mean(dim=1).abs() < 5 * error).all()
        covariance = u @ u.T / 20_000
        assert ((covariance - torch.eye(len(u)).double()).abs() < 7 * error).all()


@LATENT_DIMS
def test_the_density_of_the_truth_is_that_of_the_conditional(
    build: Build, latent_dim: int
) -> None:
    """At a plausible x_m it is the Gaussian's, to 0.05 nats."""
    model = ppca(build, latent_dim)
    truth = model.x.clone()
    wanted = torch.zeros(N).double()
    for n in range(N):
        m, known = ~OBSERVED[n], conditional(model, n)
        p_missing = MultivariateNormal(known.mean, known.covariance)
        # One deviation off along every axis.
        factor = torch.linalg.cholesky(known.covariance)
        truth[n, m] = known.mean + factor.sum(dim=1)
        wanted[n] = p_missing.log_prob(truth[n, m])  # type: ignore[no-untyped-call]

    log_p = log_prob_missing(model.vae, truth, OBSERVED, given(model))

    torch.testing.assert_close(log_p, wanted, rtol=0, atol=0.05)


@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)
def test_masked_values_are_never_read(build: Build, likelihood: str) -> None:
    """NaN, infinity or any number in the gaps changes no bit of any answer."""
    vae = build(likelihood=likelihood).requires_grad_(False)
    observed = random(3, 6, seed=2) > 0
    x = (random(3, 6) > 0).double()
    answers = []
    for value in (0.0, 1.0, -7e30, math.nan, math.inf):
        gaps = torch.where(observed, x, value)
        found = latents(vae, gaps, observed, n_draws=20, seed=1)
        made = impute(vae, gaps, observed, found, n_samples=3, seed=1)
        q_z = (found.q_z.mu, found.q_z.log_var)
        answers.append((*found[:3], *q_z, *made))

    for other in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answers[0], other, strict=True))
    assert all(part.isfinite().all() for part in answers[0])


def test_with_nothing_observed_it_is_the_prior(build: Build) -> None:
    """The fit is N(0, I), every weight is equal and log p of nothing is 0."""
    vae = build().requires_grad_(False)
    x, observed = torch.full((2, 6), math.nan).double(), torch.zeros(2, 6).bool()

    found = latents(vae, x, observed, n_draws=50, seed=0)

    assert torch.equal(found.q_z.mu, torch.zeros(2, 3).double())
    torch.testing.assert_close(found.q_z.log_var, torch.zeros(2, 3).double())
    torch.testing.assert_close(
        found.effective_sample_size, torch.full((2,), 50.0).double()
    )
    torch.testing.assert_close(found.log_p_observed, torch.zeros(2).double())
    made = impute(vae, x, observed, found, n_samples=1, seed=0)
    mean = vae.decode(found.z).mean.mean(dim=0)
    torch.testing.assert_close(made.mean, mean)
    # Of a Bernoulli mixture the total variance is that of a Bernoulli.
    torch.testing.assert_close(made.variance, mean * (1 - mean))


def test_with_everything_observed_it_is_x(build: Build) -> None:
    """Mean and draws are x, the variance is 0, and so is the surprise."""
    vae = build().requires_grad_(False)
    x, observed = (random(4, 6) > 0).double(), torch.ones(4, 6).bool()

    found = latents(vae, x, observed, n_draws=50, seed=0)
    made = impute(vae, x, observed, found, n_samples=5, seed=0)

    assert torch.equal(made.mean, x)
    assert torch.equal(made.x, x.expand(5, -1, -1))
    assert torch.equal(made.variance, torch.zeros(4, 6).double())
    surprise = log_prob_missing(vae, x, observed, found)
    torch.testing.assert_close(surprise, torch.zeros(4).double())


def test_a_nonlinear_model_is_imputed_as_quadrature_says(build: Build) -> None:
    """For a Bernoulli MLP and J = 1: log p(x_o), E[x_m|x_o] and log p(x_m|x_o)."""
    vae = build(latent_dim=1, seed=4).requires_grad_(False)
    x = (random(3, 6, seed=3) > 0).double()
    observed = random(3, 6, seed=5) > -0.3
    z = torch.linspace(-12, 12, 8001).double()[:, None]
    log_prior = -0.5 * z[:, 0] ** 2 - 0.5 * math.log(2 * math.pi)
    per_dim = vae.decode(z).log_prob_per_dim(x[:, None])  # (N, G, D)
    log_o = torch.where(observed[:, None], per_dim, 0.0).sum(dim=-1) + log_prior
    dz = math.log(24 / 8000)
    log_p_o = torch.logsumexp(log_o, dim=1) + dz
    posterior = torch.exp(log_o + dz - log_p_o[:, None])
    log_p_x = torch.logsumexp(per_dim.sum(dim=-1) + log_prior, dim=1) + dz

    found = latents(vae, x, observed, n_draws=50_000, seed=0)
    made = impute(vae, x, observed, found, n_samples=1, seed=0)

    assert (found.effective_sample_size > 25_000).all()
    # 50,000 draws: deviations of a mean in [0, 1] below 0.002, five times over 0.01.
    torch.testing.assert_close(found.log_p_observed, log_p_o, rtol=0, atol=0.02)
    mean = torch.where(observed, x, posterior @ vae.decode(z).mean)
    torch.testing.assert_close(made.mean, mean, rtol=0, atol=0.01)
    log_p_m = log_prob_missing(vae, x, observed, found)
    torch.testing.assert_close(log_p_m, log_p_x - log_p_o, rtol=0, atol=0.02)


def test_a_row_does_not_depend_on_its_batch(build: Build) -> None:
    """The first rows have the same answer when they are asked for without the rest."""
    vae = build().float().requires_grad_(False)
    x, observed = (random(5, 6) > 0).float(), random(5, 6, seed=2) > 0

    whole, part = (
        latents(vae, x[:n], observed[:n], n_draws=10, seed=3) for n in (5, 2)
    )

    torch.testing.assert_close(whole.z[:, :2], part.z, rtol=0, atol=1e-4)
    drawn, alone = (
        impute(
            vae,
            x[: len(g.log_p_observed)],
            observed[: len(g.log_p_observed)],
            g,
            n_samples=4,
            seed=3,
        )
        for g in (whole, part)
    )
    torch.testing.assert_close(drawn.x[:, :2], alone.x)
    torch.testing.assert_close(drawn.mean[:2], alone.mean, rtol=0, atol=1e-4)


def test_chunks_change_nothing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows fitted and draws decoded one at a time, two, or all at once."""
    vae = build().requires_grad_(False)
    x, observed = (random(3, 6) > 0).double(), random(3, 6, seed=2) > 0
    answers = []
    for values in (1, 6 * 140, 10**6):  # 140 pairs: two rows of a fit, of 64 draws
        monkeypatch.setattr("model.inference.proposals.MAX_VALUES", values)
        found = latents(vae, x, observed, n_draws=20, seed=1)
        made = impute(vae, x, observed, found, n_samples=2, seed=1)
        log_p = log_prob_missing(vae, x, observed, found)
        answers.append((*found[:3], *made, log_p))

    for other in answers[1:]:
        for one, same in zip(answers[0], other, strict=True):
            torch.testing.assert_close(one, same)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_draws_follow_the_weights(build: Build, share: float) -> None:
    """A draw without weight is never taken, one with all of it always."""
    vae = build(latent_dim=1).requires_grad_(False)
    z = torch.tensor([1.0, 2.0]).double()[:, None, None]
    weights = torch.tensor([share, 1 - share]).double()[:, None]
    found = latents(
        vae, torch.ones(1, 6).double(), torch.ones(1, 6).bool(), n_draws=1, seed=0
    )
    found = found._replace(z=z, log_weights=weights.log())

    made = impute(
        vae,
        torch.ones(1, 6).double(),
        torch.zeros(1, 6).bool(),
        found,
        n_samples=100,
        seed=0,
    )

    assert (made.z == (1.0 if share else 2.0)).all()


@pytest.mark.parametrize(
    ("x", "observed", "message"),
    [
        (torch.zeros(2, 6), torch.ones(2, 5).bool(), r"booleans \[2, 6\], got .*2, 5"),
        (torch.zeros(2, 6), torch.ones(2, 6), "got torch.float32"),
        (
            torch.full((1, 6), 0.5),
            torch.ones(1, 6).bool(),
            r"x\[0, 0\] is 0.5; .*{0, 1}",
        ),
    ],
)
def test_what_cannot_be_imputed_is_refused(
    build: Build, x: Tensor, observed: Tensor, message: str
) -> None:
    """A mask of another shape or kind, and an observed value outside the support."""
    vae = build().float().requires_grad_(False)

    with pytest.raises(ValueError, match=message):
        latents(vae, x, observed, n_draws=1, seed=0)
