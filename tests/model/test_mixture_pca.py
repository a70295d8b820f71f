"""Under a learned prior every analysis gives what closed forms or quadrature give."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.quality.missing import log_prob_missing
from model.checkpoint.held_out import Calibration, Scores, ScoreSettings
from model.dataset_elbo import estimate_elbo
from model.elbo import elbo
from model.inference import analyses
from model.inference.bounds import importance_weighted
from model.inference.columns import Analysis, columns_by_name
from model.inference.effort import Effort
from model.inference.evidence import log_evidence
from model.inference.gap import gap
from model.inference.health import health, posteriors
from model.inference.hmc import sample_posterior
from model.inference.imputation import impute
from model.inference.latents import latents
from model.inference.posterior import kl_to_posterior, posterior
from model.inference.proposals import encode_wide
from model.inference.refinement import elbo_replicates, refine
from model.inference.row_anomalies import HeldOutScores
from model.vae import VAE
from tests.model.mixture_pca import MixturePca, mixture_pca
from tests.model.ppca import Build, D, bias, ppca, random, weight

Answer = Callable[[VAE, Tensor], list[Tensor]]
CPU = torch.device("cpu")


def exact_elbo(model: MixturePca) -> Tensor:
    """Return log p(x) - KL(q(z|x) || p(z|x)) by quadrature, J = 1, (N,)."""
    q_z = encode_wide(model.vae, model.x)
    eps = torch.linspace(-9, 9, 8001).double()[:, None, None]
    z = q_z.reparameterize(eps)
    mass = torch.exp(-0.5 * eps[..., 0].square())
    values = model.p_z.log_prob(z) - q_z.log_prob(z)
    return model.log_likelihood + (mass * values).sum(dim=0) / mass.sum()


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_quadrature_gives_evidence_and_posterior(build: Build, latent_dim: int) -> None:
    """Log p(x) of the mixture of Gaussians, and the moments of its posterior."""
    model = mixture_pca(build, latent_dim, apart=4.0)

    found = posterior(model.vae, model.x)

    assert all(one.converged for one in found)
    log_p_x = torch.tensor([one.log_p_x for one in found]).double()
    torch.testing.assert_close(log_p_x, model.log_p_x, rtol=0, atol=1e-6)
    mean, covariance = model.posterior_moments(range(D), model.x)
    torch.testing.assert_close(
        torch.stack([one.mean for one in found]), mean, rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        torch.stack([one.covariance for one in found]), covariance, rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow("draws thousands of latents again and again")
def test_the_elbo_and_its_terms_are_right_in_expectation(build: Build) -> None:
    """Within 3 standard errors of quadrature; evaluation and anomalies too."""
    model = mixture_pca(build, 1)
    exact, kl = exact_elbo(model), model.log_likelihood - exact_elbo(model)
    k = 4000

    found = [elbo(model.vae, model.x, eps=eps) for eps in random(20, k, 4, 1)]

    for name, wanted in (("bound", exact), ("kl", kl)):
        values = torch.stack([getattr(one, name) for one in found])
        error = values.std(dim=0) / len(values) ** 0.5
        assert ((values.mean(dim=0) - wanted).abs() < 3 * error).all()
        assert (error < 0.05).all()
    assert found[0].kl_per_dim is None
    evaluation = estimate_elbo(model.vae, model.x, n_samples=k, seed=1)
    spread = 5 * torch.stack([one.bound for one in found]).std(dim=0)
    assert (torch.from_numpy(evaluation.bound) - exact).abs().lt(spread).all()
    settings = ScoreSettings(
        split="validation", binarization="none", n_samples=k, noise_seed=0
    )
    scores = Scores(np.array([0.0]), settings)
    ranks = HeldOutScores.of(Calibration({"negative_elbo": scores}))
    assert ranks is not None
    score = analyses.anomalies(model.vae, model.x, ranks, seed=2).negative_elbo
    assert (torch.from_numpy(score) + exact).abs().lt(spread).all()


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_importance_weighted_bounds_reach_the_evidence(
    build: Build, latent_dim: int
) -> None:
    """Within 3 standard errors; L_1 is the ELBO."""
    model = mixture_pca(build, latent_dim)

    found = log_evidence(model.vae, model.x, target=0.01, budget=2**16, seed=1)

    error = found.bound.standard_error
    off = model.log_p_x - found.bound.value
    assert (off.abs() < 3 * error).all()
    assert found.is_reliable is not None
    assert found.is_reliable.all()
    if latent_dim == 1:
        one = importance_weighted(
            model.vae, model.x, n_samples=1, n_blocks=4096, seed=2
        )
        off = one.bound.value - exact_elbo(model)
        assert (off.abs() < 3 * one.bound.standard_error).all()


@pytest.mark.slow("draws until the gap is known")
def test_the_gaps_add_up_to_the_exact_one(build: Build) -> None:
    """Log p(x) - ELBO by quadrature, split in two parts that are not negative."""
    model = mixture_pca(build, 1)

    found = gap(model.vae, model.x, target=0.01, budget=2**16, seed=1)

    exact = model.log_p_x - exact_elbo(model)
    assert ((found.total.value - exact).abs() < 4 * found.total.standard_error).all()
    for part in (found.approximation, found.amortization):
        assert (part.value > -3 * part.standard_error).all()
    q_z = encode_wide(model.vae, model.x)
    divergence = kl_to_posterior(model.vae, model.x, q_z, posterior(model.vae, model.x))
    torch.testing.assert_close(divergence.value, exact, rtol=0, atol=1e-5)


def test_refinement_finds_the_best_gaussian(build: Build) -> None:
    """With one component, whose posterior is Gaussian, nothing is left for J = 1."""
    model = mixture_pca(build, 1, n_components=1)

    found = refine(model.vae, model.x, seed=0)

    assert found.converged.all()
    mean, covariance = model.posterior_moments(range(D), model.x)
    torch.testing.assert_close(found.q_z.mu, mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        found.q_z.sigma.square(), covariance[:, 0], rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(found.after.value, model.log_p_x, rtol=0, atol=1e-5)


@pytest.mark.slow("refines rows")
def test_refinement_gains_under_a_mixture(build: Build) -> None:
    """No ELBO falls, none is above log p(x), and replicates agree with quadrature."""
    model = mixture_pca(build, 1)

    found = refine(model.vae, model.x, seed=0)

    assert (found.improvement.value > -1e-3).all()
    above = found.after.value - model.log_p_x
    assert (above < 3 * found.after.standard_error).all()
    q_z = encode_wide(model.vae, model.x)
    values = elbo_replicates(model.vae, model.x, q_z, seed=1, n_frames=2000)
    error = values.std(dim=1) / 2000**0.5
    assert ((values.mean(dim=1) - exact_elbo(model)).abs() < 3 * error).all()


@pytest.mark.slow("computes many estimates")
def test_the_evidence_is_bracketed(build: Build) -> None:
    """Up to three standard errors, and the bracket is narrow; the chains agree."""
    model = mixture_pca(build, 2)

    effort = Effort.adaptive(target=0.005, budget=2**16)
    found = analyses.bracket(model.vae, model.x, effort, seed=1)

    log_p_x = model.log_p_x.numpy()
    assert (found.log_p_x - 3 * found.log_p_x_standard_error < log_p_x).all()
    assert (found.upper + 3 * found.upper_standard_error > log_p_x).all()
    assert (found.upper - found.log_p_x < 0.1).all()
    assert (found.r_hat < 1.05).all()


@pytest.mark.slow("runs many chains")
def test_chains_have_the_moments_of_the_posterior(build: Build) -> None:
    """Means within 5 standard errors between independent chains."""
    model = mixture_pca(build, 2)
    q_z = refine(model.vae, model.x, seed=0).q_z

    chains = sample_posterior(
        model.vae,
        model.x,
        q_z=q_z,
        n_chains=32,
        n_samples=150,
        n_warmup=60,
        seed=0,
    )

    mean, covariance = model.posterior_moments(range(D), model.x)
    by_chain = chains.z.mean(dim=0)  # (C, N, J)
    error = by_chain.std(dim=0) / 32**0.5
    assert ((by_chain.mean(dim=0) - mean).abs() < 5 * error).all()
    variance = covariance.diagonal(dim1=1, dim2=2)
    spread = (chains.z - mean).square().mean(dim=(0, 1))
    torch.testing.assert_close(spread, variance, rtol=0.2, atol=0.01)


def test_simulated_data_have_the_moments_of_the_model(build: Build) -> None:
    """E[x] = W E[z] + b and Cov[x] = W Cov[z] W' + s^2 I."""
    model = mixture_pca(build, 2)
    n = 40_000

    x, z = model.simulated(n)

    p_z = model.p_z
    weights = p_z.log_weights.exp()
    mean = weights @ p_z.mu
    off = p_z.mu - mean
    within = torch.diag(weights @ p_z.log_var.exp())
    covariance = within + (weights[:, None] * off).T @ off
    error = z.std(dim=0) / n**0.5
    assert ((z.mean(dim=0) - mean).abs() < 4 * error).all()
    wanted = model.w @ mean + model.b
    assert ((x.mean(dim=0) - wanted).abs() < 4 * x.std(dim=0) / n**0.5).all()
    cov_x = model.w @ covariance @ model.w.T + 0.3 * torch.eye(D).double()
    torch.testing.assert_close(x.T.cov(), cov_x, rtol=0.03, atol=0.03)


@pytest.mark.slow("imputes with many draws")
def test_what_is_missing_is_imputed(build: Build) -> None:
    """Mean, variance and density given three of five values; nothing known at all."""
    model = mixture_pca(build, 2)
    model = model._replace(x=model.simulated(4)[0])
    known, unknown = range(3), [3, 4]
    observed = torch.zeros_like(model.x, dtype=torch.bool)
    observed[:, :3] = True

    given = latents(model.vae, model.x, observed, n_draws=20_000, seed=0)
    found = impute(model.vae, model.x, observed, given, n_samples=1, seed=0)

    log_p_known = model.log_prob(known, model.x[:, :3]).logsumexp(dim=1)
    torch.testing.assert_close(given.log_p_observed, log_p_known, rtol=0, atol=0.03)
    mean, covariance = model.posterior_moments(known, model.x[:, :3])
    w = model.w[unknown]
    wanted = mean @ w.T + model.b[unknown]
    variance = torch.einsum("dj,njk,dk->nd", w, covariance, w) + 0.3
    scale = (variance / given.effective_sample_size[:, None]).sqrt()
    assert ((found.mean[:, 3:] - wanted).abs() < 4 * scale).all()
    off = (found.variance[:, 3:] / variance - 1).abs()
    assert (off < 4 * (2 / given.effective_sample_size[:, None]).sqrt()).all()
    assert (given.effective_sample_size > 500).all()
    log_p_missing = log_prob_missing(model.vae, model.x, observed, given)
    torch.testing.assert_close(
        log_p_missing, model.log_p_x - log_p_known, rtol=0, atol=0.15
    )

    nothing = torch.zeros_like(observed)
    given = latents(model.vae, model.x, nothing, n_draws=20_000, seed=0)

    moments = model.p_z.moments(CPU)
    wanted = model.w @ moments.mu + model.b
    free = impute(model.vae, model.x, nothing, given, n_samples=1, seed=0)
    torch.testing.assert_close(free.mean[0], wanted, rtol=0.05, atol=0.05)
    assert (given.log_p_observed.abs() < 0.02).all()


def test_the_aggregate_posterior_is_weighed_against_the_learned_prior(
    build: Build,
) -> None:
    """Both parts add up to the mean KL; with p(z) = q(z) of the rows, one is 0."""
    vae = build(prior={"kind": "vamp", "n_components": 6}, likelihood="gaussian")
    rows = random(6, 6, seed=8)
    vae.requires_grad_(False).get_parameter("prior.pseudo_inputs").copy_(rows)

    found = health(posteriors(vae, rows), vae.p_z, eps=random(500, 6, 3))

    parts = found.aggregate
    assert abs(parts.kl_to_prior.value) < 1e-10
    total = parts.mutual_information.value + parts.kl_to_prior.value
    assert total == pytest.approx(parts.expected_kl, abs=0.02)
    assert found.kl_per_dim is None
    assert "standard" not in found.verdict


def standard_and_mixture(build: Build) -> tuple[VAE, VAE]:
    """Return probabilistic PCA twice, once with N(0, I) as a mixture of one."""
    standard = ppca(build, 2).vae
    mixture = mixture_pca(build, 2, n_components=1).vae
    weights: dict[str, Any] = standard.state_dict()
    names = ("logits", "mean", "log_var")
    zeros = {
        f"prior.{name}": torch.zeros_like(mixture.state_dict()[f"prior.{name}"])
        for name in names
    }
    mixture.load_state_dict({**weights, **zeros})
    return standard, mixture


@pytest.mark.parametrize(
    "answer",
    [
        lambda vae, x: [vae.log_joint(x, random(3, 4, 2))],
        lambda vae, x: list(elbo(vae, x, eps=random(3, 4, 2))[:2]),
        pytest.param(
            lambda vae, x: list(refine(vae, x, seed=0).after[:2]),
            marks=pytest.mark.slow("refines"),
        ),
        lambda vae, x: [
            torch.tensor([one.log_p_x for one in posterior(vae, x)]),
        ],
        lambda vae, x: [
            *map(
                torch.from_numpy,
                columns_by_name(
                    analyses.evidence(vae, x, Effort.fixed(8), seed=1)
                ).values(),
            )
        ],
        pytest.param(
            lambda vae, x: [*latents(vae, x, x < 1.0, n_draws=50, seed=1)[:3]],
            marks=pytest.mark.slow("imputes"),
        ),
    ],
)
def test_one_standard_component_answers_as_the_standard_normal_does(
    build: Build, answer: Answer
) -> None:
    """The same numbers from every analysis, to rounding."""
    standard, mixture = standard_and_mixture(build)
    x = 2 * random(4, D)

    pairs = zip(answer(standard, x), answer(mixture, x), strict=True)

    for wanted, found in pairs:
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def arrays(found: Analysis | list[Any]) -> list[Any]:
    """Return the columns of an analysis, or a list as it is."""
    return found if isinstance(found, list) else list(columns_by_name(found).values())


@pytest.mark.slow("computes many estimates")
@pytest.mark.parametrize("kind", ["gaussian_mixture", "vamp"])
@pytest.mark.parametrize(
    "analysis",
    [
        lambda vae, x: analyses.evidence(vae, x, Effort.fixed(4), seed=1),
        lambda vae, x: analyses.refine(vae, x, seed=1),
        analyses.posteriors,
        lambda vae, x: analyses.impute(vae, x, x < 1, n_draws=20, n_samples=2, seed=1),
        lambda vae, x: [estimate_elbo(vae, x, n_samples=2, seed=1).bound],
        lambda vae, x: [vae.p_z.quantiles(x[0].sigmoid()).numpy()],
    ],
)
def test_everything_lies_where_x_does(
    build: Build, kind: str, analysis: Callable[[VAE, Tensor], Any]
) -> None:
    """With another device as default each runs, and gives the same."""
    vae = build(
        likelihood="gaussian",
        latent_dim=2,
        prior={"kind": kind, "n_components": 3},
    )
    vae.requires_grad_(False).eval()
    x = random(2, 6)
    expected = arrays(analysis(vae, x))

    with torch.device("meta"):
        found = arrays(analysis(vae, x))

    for column, reference in zip(found, expected, strict=True):
        np.testing.assert_array_equal(column, reference)


@pytest.mark.slow("computes every bound")
def test_a_vamp_prior_is_used_by_every_bound(build: Build) -> None:
    """A Bernoulli MLP: the bounds agree with quadrature, in evaluation mode."""
    vae = build(latent_dim=2, prior={"kind": "vamp", "n_components": 5})
    vae.requires_grad_(False)
    weight(vae.encoder.mu).mul_(3)
    bias(vae.encoder.log_var).sub_(1)
    vae.eval()
    x = (random(5, 6, seed=3) > 0).double()

    found = gap(vae, x, target=0.005, budget=2**16, seed=1)

    exact = posterior(vae, x)
    log_p_x = torch.tensor([one.log_p_x for one in exact]).double()
    bound = found.log_p_x.bound
    assert ((bound.value - log_p_x).abs() < 4 * bound.standard_error).all()
    kl = kl_to_posterior(vae, x, encode_wide(vae, x), exact).value
    assert ((found.total.value - kl).abs() < 4 * found.total.standard_error).all()
