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

from benchmarks.quality.missing import log_prob_missing
from model.inference.imputation import impute
from model.inference.latents import Fitted, Latents, draw, fit, latents
from model.vae import VAE
from tests.model.inference.conditionals import Conditionals, binary, gaussian, mask_like
from tests.model.inference.known import MODELS
from tests.model.ppca import VARIANCE, D, N, Ppca, bias, ppca, random, weight

Build = Callable[..., VAE]

OBSERVED = torch.tensor(
    [[1, 0, 1, 0, 1], [0, 0, 0, 1, 0], [1, 1, 1, 1, 0], [0, 1, 1, 0, 1]]
).bool()
N_ROWS = 32  # of each model
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
    """Return the latents given the observed part of every row."""
    return latents(model.vae, model.x, OBSERVED, n_draws=n_draws, seed=seed)


@LATENT_DIMS
def test_the_evidence_of_the_observed_part_is_that_of_its_marginal(
    build: Build, latent_dim: int
) -> None:
    """It is within 4 of its standard errors of the marginal Gaussian's."""
    model = ppca(build, latent_dim)

    found = given(model)

    wanted = torch.stack([conditional(model, n).log_p_observed for n in range(N)])
    error = found.log_p_observed_standard_error
    assert (error < 0.01).all()
    assert ((found.log_p_observed - wanted).abs() < 4 * error).all()
    assert found.is_reliable.all()


def test_no_weight_is_large(build: Build) -> None:
    """One draw in sixteen is from the prior, so none is above 16 p(x_o|z)."""
    model = ppca(build, 1)

    found = given(model, n_draws=1024)

    log_w = found.log_weights + found.log_p_observed + math.log(1024)
    per_dim = model.vae.decode(found.z).log_prob_per_dim(model.x)
    log_p = torch.where(OBSERVED, per_dim, 0.0).sum(dim=-1)
    assert (log_w <= log_p + math.log(16) + 1e-9).all()


@pytest.mark.parametrize(("n_draws", "taken"), [(1, 64), (64, 64), (65, 128)])
def test_draws_are_taken_in_whole_strata(
    build: Build, n_draws: int, taken: int
) -> None:
    """Their number is rounded up to a multiple of 64."""
    found = given(ppca(build, 1), n_draws=n_draws)

    assert len(found.z) == len(found.log_weights) == taken


@pytest.mark.slow("computes many imputations")
def test_both_modes_of_a_posterior_have_their_share(build: Build) -> None:
    """
    Of the draws' weight, and with little error.

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
    shares = found.log_weights.exp()[found.z[..., 0] > 0.2]
    assert float(found.effective_sample_size) > 5_000
    # Four standard errors of a share of 5,000 draws.
    assert float(shares.sum()) == pytest.approx(right, abs=0.03)
    assert found.is_reliable


@pytest.mark.slow("computes many imputations")
def test_a_mode_with_a_hundredth_of_the_mass_counts() -> None:
    """Mean and variance without it would be off by up to 28 standard errors."""
    vae, x, _ = MODELS["Bernoulli, untrained q"]()
    row, seed = 3, 3
    observed = mask_like(x[::8])[row, None]
    x = x[8 * row, None]
    wanted, missing = binary(vae, x, observed), ~observed.numpy()

    found = latents(vae, x, observed, n_draws=1024, seed=seed, first=row)
    made = impute(vae, x, observed, found, n_samples=1, seed=seed, first=row)

    assert found.is_reliable
    for value, exact, error in (
        (made.mean, wanted.mean, made.mean_standard_error),
        (made.variance, wanted.variance, made.variance_standard_error),
    ):
        off = np.abs(value.numpy() - exact)[missing]
        assert (off <= 3.5 * error.numpy()[missing]).all()


class Case(NamedTuple):
    """Rows of a known model, what is true of them, and the fits of each row."""

    name: str
    vae: VAE
    x: Tensor
    observed: Tensor
    wanted: Conditionals
    fits: list[Fitted]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Return every model; the seed of its noise is its place in the list."""
    found = []
    for seed, (name, build_known) in enumerate(MODELS.items()):
        vae, x, _ = build_known()
        x = x[:: len(x) // N_ROWS]
        observed = mask_like(x)
        fits = fit(vae, x, observed, seed=seed)
        of = binary if name.startswith("Bernoulli") else gaussian
        found.append(Case(name, vae, x, observed, of(vae, x, observed), fits))
    return found


@pytest.mark.slow("computes many imputations")
@pytest.mark.parametrize("n_draws", [256, 1024])
def test_what_is_called_reliable_is(cases: list[Case], n_draws: int) -> None:
    """
    Of log p(x_o), means and variances, 93 % lie within 2 standard errors, 99 % in 3.

    RMS(error / standard error) is between 0.7 and 1.2, and most rows are reliable.
    """
    ratios = []
    for seed, (name, vae, x, observed, wanted, fits) in enumerate(cases):
        missing = ~observed.numpy()

        found = draw(vae, fits, n_draws=n_draws)
        made = impute(vae, x, observed, found, n_samples=1, seed=seed)

        trusted = found.is_reliable.numpy()
        off = [
            found.log_p_observed.numpy() - wanted.log_p_observed,
            (made.mean.numpy() - wanted.mean)[missing],
            (made.variance.numpy() - wanted.variance)[missing],
        ]
        errors = [
            found.log_p_observed_standard_error.numpy(),
            made.mean_standard_error.numpy()[missing],
            made.variance_standard_error.numpy()[missing],
        ]
        rows = missing.nonzero()[0]
        which = [trusted, trusted[rows], trusted[rows]]
        parts = zip(off, errors, which, strict=True)
        ratios.append([(o / e)[kept] for o, e, kept in parts])
        assert trusted.mean() >= 0.9, name
        assert all((np.abs(ratio) <= 2).mean() >= 0.85 for ratio in ratios[-1]), name
    for parts_of_all in zip(*ratios, strict=True):
        ratio = np.abs(np.concatenate(parts_of_all))
        assert (ratio <= 2).mean() >= 0.93
        assert (ratio <= 3).mean() >= 0.99
        assert 0.7 <= math.sqrt((ratio**2).mean()) <= 1.2


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


@pytest.mark.slow("imputes again and again")
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
        answers.append((*found, *made))

    for other in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answers[0], other, strict=True))
    assert all(part.isfinite().all() for part in answers[0])


def test_with_nothing_observed_it_is_the_prior(build: Build) -> None:
    """Every weight is equal and log p of nothing is 0, without error."""
    vae = build().requires_grad_(False)
    x, observed = torch.full((2, 6), math.nan).double(), torch.zeros(2, 6).bool()

    found = latents(vae, x, observed, n_draws=50, seed=0)

    torch.testing.assert_close(
        found.effective_sample_size, torch.full((2,), 64.0).double()
    )
    nothing = torch.zeros(2).double()
    assert torch.equal(found.log_p_observed, nothing)
    assert torch.equal(found.log_p_observed_standard_error, nothing)
    assert found.is_reliable.all()
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
    nothing = torch.zeros(4, 6).double()
    assert torch.equal(made.variance, nothing)
    assert torch.equal(made.mean_standard_error, nothing)
    assert torch.equal(made.variance_standard_error, nothing)
    surprise = log_prob_missing(vae, x, observed, found)
    torch.testing.assert_close(surprise, torch.zeros(4).double())


@pytest.mark.slow("computes many imputations")
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


@pytest.mark.slow("imputes many times")
def test_a_row_alone_has_the_bits_that_it_has_in_company(build: Build) -> None:
    """Each row alone, at its position, in float32."""
    vae = build().float().requires_grad_(False)
    x, observed = (random(5, 6) > 0).float(), random(5, 6, seed=2) > 0

    def answer(rows: slice) -> list[Tensor]:
        one, mask = x[rows], observed[rows]
        found = latents(vae, one, mask, n_draws=10, seed=3, first=rows.start)
        made = impute(vae, one, mask, found, n_samples=4, seed=3, first=rows.start)
        draws = (found.z, found.log_weights, made.x, made.z)
        return [*found[2:], *made[:4], *(part.transpose(0, 1) for part in draws)]

    whole = answer(slice(0, 5))

    for i in range(5):
        for alone, among in zip(answer(slice(i, i + 1)), whole, strict=True):
            assert torch.equal(alone[0], among[i])


@pytest.mark.slow("imputes again and again")
def test_chunks_change_nothing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws decoded one at a time, some, or all at once."""
    vae = build().requires_grad_(False)
    x, observed = (random(3, 6) > 0).double(), random(3, 6, seed=2) > 0
    answers = []
    for values in (1, 6 * 20, 10**6):
        monkeypatch.setattr("model.inference.proposals.MAX_VALUES", values)
        found = latents(vae, x, observed, n_draws=20, seed=1)
        made = impute(vae, x, observed, found, n_samples=2, seed=1)
        log_p = log_prob_missing(vae, x, observed, found)
        answers.append((*found[:4], *made, log_p))

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
