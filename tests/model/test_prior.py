"""The priors are the densities that they say, their divergences and draws as well."""

import math
from statistics import NormalDist

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from model.distributions import DiagonalGaussian, normal_log_prob
from model.prior import GaussianMixture, Prior, StandardNormal, draw
from tests.model.ppca import random

LEVELS = torch.tensor([0.001, 0.25, 0.5, 0.999]).double()
CPU = torch.device("cpu")


def mixture(n_components: int = 4, latent_dim: int = 3) -> GaussianMixture:
    """Return a mixture with nothing special about it."""
    shape = (n_components, latent_dim)
    return GaussianMixture(
        random(n_components, seed=1).log_softmax(dim=0),
        1.5 * random(*shape, seed=2),
        random(*shape, seed=3) - 0.5,
    )


def by_torch(p_z: GaussianMixture, z: Tensor) -> Tensor:
    """Return log p(z) by torch."""
    parts = Independent(Normal(p_z.mu, torch.exp(0.5 * p_z.log_var)), 1)
    whole = MixtureSameFamily(Categorical(logits=p_z.log_weights), parts)
    log_p: Tensor = whole.log_prob(z)  # type: ignore[no-untyped-call]
    return log_p


def one_standard(latent_dim: int = 3) -> GaussianMixture:
    """Return N(0, I) as a mixture of one."""
    zeros = torch.zeros(1, latent_dim).double()
    return GaussianMixture(zeros[:, 0], zeros, zeros)


def posterior(n: int = 5, latent_dim: int = 3) -> DiagonalGaussian:
    """Return q(z|x) of n examples."""
    return DiagonalGaussian(
        random(n, latent_dim, seed=4), random(n, latent_dim, seed=5) - 1
    )


def test_a_mixtures_density_is_that_of_torch() -> None:
    """For any leading dimensions, in float64 whatever z is."""
    p_z, z = mixture(), 2 * random(2, 5, 3)

    log_p = p_z.log_prob(z)

    wanted = by_torch(p_z, z)
    torch.testing.assert_close(log_p, wanted, rtol=1e-12, atol=1e-12)
    assert p_z.log_prob(z.float()).dtype == torch.float64


def test_the_density_of_narrow_components_far_away_is_not_cancelled() -> None:
    """With sigma 1e-3 at 100, the products of 1e10 leave an error below 1e-4 nats."""
    mu = torch.tensor([[100.0, -50.0]]).double()
    log_var = torch.full((1, 2), math.log(1e-6)).double()
    z = mu + 1e-3 * random(20, 2)

    log_p = GaussianMixture(torch.zeros(1), mu, log_var).log_prob(z)

    wanted = normal_log_prob(z, mu, log_var).sum(dim=1)
    torch.testing.assert_close(log_p, wanted, rtol=0, atol=1e-4)


def test_one_standard_component_is_the_standard_normal() -> None:
    """In density, divergence, moments, quantiles, box and draws."""
    ours, wanted = one_standard(), StandardNormal(3)
    q_z, z = posterior(), random(2, 5, 3)
    eps, u = random(7, 3), torch.linspace(0, 0.99, 7).double()

    pairs: list[tuple[Tensor, Tensor]] = [
        (ours.log_prob(z), wanted.log_prob(z)),
        (ours.kl(q_z, z), wanted.kl(q_z, z)),
        (ours.kl_per_draw(q_z, z), wanted.kl_per_draw(q_z, z)),
        (ours.kl(q_z, z), wanted.kl_per_dim(q_z).sum(dim=1)),
        (ours.moments(CPU).mu, wanted.moments(CPU).mu),
        (ours.moments(CPU).log_var, wanted.moments(CPU).log_var),
        (ours.quantiles(LEVELS), wanted.quantiles(LEVELS)),
        (ours.box(8.0, CPU).low, wanted.box(8.0, CPU).low),
        (ours.box(8.0, CPU).high, wanted.box(8.0, CPU).high),
        (
            ours.sample(eps, u, temperature=0.7),
            wanted.sample(eps, u, temperature=0.7),
        ),
    ]

    for value, reference in pairs:
        torch.testing.assert_close(value, reference, rtol=1e-12, atol=1e-12)
    assert ours.kl_per_dim(q_z) is None


def test_the_kl_to_one_component_has_no_noise() -> None:
    """Every draw of z gives the closed form of torch, whatever the draw."""
    p_z, q_z = mixture(n_components=1), posterior()

    kl = p_z.kl_per_draw(q_z, 3 * random(6, 5, 3))

    wanted = kl_divergence(
        Independent(Normal(q_z.mu, q_z.sigma), 1),
        Independent(Normal(p_z.mu, torch.exp(0.5 * p_z.log_var)), 1),
    )
    torch.testing.assert_close(kl, wanted.expand(6, 5), rtol=1e-12, atol=1e-12)


def integrated_kl(p_z: GaussianMixture, q_z: DiagonalGaussian) -> Tensor:
    """Return KL(q || p) in one dimension by the trapezoidal rule, (N,)."""
    eps = torch.linspace(-9, 9, 4001).double()[:, None, None]
    z = q_z.reparameterize(eps)
    mass = torch.exp(-0.5 * eps[..., 0].square())
    values = q_z.log_prob(z) - by_torch(p_z, z)
    kl: Tensor = (mass * values).sum(dim=0) / mass.sum()
    return kl


def test_the_kl_and_its_gradients_are_right_in_expectation() -> None:
    """Against quadrature over z, within 4 standard errors; so are the gradients."""
    fixed, q_z = mixture(latent_dim=1), posterior(latent_dim=1)
    logits = fixed.log_weights.clone()
    leaves = [q_z.mu, q_z.log_var, logits, fixed.mu, fixed.log_var]
    for leaf in leaves:
        leaf.requires_grad_()

    def with_slopes(kl: Tensor) -> Tensor:
        slopes = torch.autograd.grad(kl.sum(), leaves)
        return torch.cat([kl, *(slope.flatten() for slope in slopes)]).detach()

    def p_z() -> GaussianMixture:
        return GaussianMixture(logits.log_softmax(dim=0), fixed.mu, fixed.log_var)

    found = torch.stack(
        [
            with_slopes(p_z().kl(q_z, q_z.reparameterize(eps)))
            for eps in random(80, 500, 5, 1, seed=10)
        ]
    )

    wanted = with_slopes(integrated_kl(p_z(), q_z))
    error = found.std(dim=0) / len(found) ** 0.5
    assert ((found.mean(dim=0) - wanted).abs() < 4 * error).all()
    assert (error < 0.01).all()


def test_the_kl_has_less_variance_than_the_plain_estimate() -> None:
    """Log q(z) - log p(z) has the same mean and more noise for every example."""
    p_z, q_z = mixture(), posterior()
    z = q_z.reparameterize(random(4000, 5, 3, seed=9))

    ours = p_z.kl_per_draw(q_z, z)

    plain = q_z.log_prob(z) - p_z.log_prob(z)
    error = (ours - plain).std(dim=0) / 4000**0.5
    assert ((ours - plain).mean(dim=0).abs() < 4 * error).all()
    assert (ours.var(dim=0) < plain.var(dim=0)).all()


@pytest.mark.parametrize("p_z", [StandardNormal(3), mixture()])
def test_draws_have_the_moments_and_quantiles_of_the_prior(p_z: Prior) -> None:
    """Means, variances and the share below each quantile, within 4 standard errors."""
    n = 40_000

    z = torch.from_numpy(draw(p_z, n, seed=3)).double()

    moments = p_z.moments(CPU)
    error = z.std(dim=0) / n**0.5
    assert ((z.mean(dim=0) - moments.mu).abs() < 4 * error).all()
    off = (z - moments.mu).square()
    variance = moments.log_var.exp()
    assert ((off.mean(dim=0) - variance).abs() < 4 * off.std(dim=0) / n**0.5).all()
    share = (z[:, :, None] < p_z.quantiles(LEVELS)).double().mean(dim=0)  # (J, Q)
    error = (LEVELS * (1 - LEVELS) / n).sqrt()
    assert ((share - LEVELS).abs() < 4 * error).all()


def test_the_joint_density_of_draws_is_that_of_the_mixture() -> None:
    """The mean of log p(z) over draws is that over torch's own draws."""
    p_z = mixture()
    generator = torch.Generator().manual_seed(0)
    component = torch.multinomial(
        p_z.log_weights.exp(), 20_000, replacement=True, generator=generator
    )
    noise = torch.randn(20_000, 3, generator=generator).double()
    reference = p_z.mu[component] + noise * torch.exp(0.5 * p_z.log_var[component])

    ours = p_z.log_prob(torch.from_numpy(draw(p_z, 20_000, seed=1)))

    theirs = p_z.log_prob(reference)
    error = ((ours.var() + theirs.var()) / 20_000).sqrt()
    assert (ours.mean() - theirs.mean()).abs() < 4 * error


def test_a_draw_depends_on_the_seed_and_its_row_alone() -> None:
    """As many more rows as one likes change nothing, another seed all."""
    p_z = mixture()

    whole = draw(p_z, 50, seed=1)

    assert (draw(p_z, 7, seed=1) == whole[:7]).all()
    assert (draw(p_z, 50, seed=2) != whole).all()


def test_temperature_scales_what_components_scatter_not_where_they_are() -> None:
    """At 0 only the means are left, as often as their weights say."""
    p_z, n = mixture(), 20_000

    cold, warm, hot = (draw(p_z, n, seed=5, temperature=t) for t in (0, 1, 2))

    distances = torch.cdist(torch.from_numpy(cold).double(), p_z.mu)
    nearest, component = distances.min(dim=1)
    assert (nearest < 1e-6).all()
    share = component.bincount(minlength=4).double() / n
    weights = p_z.log_weights.exp()
    assert ((share - weights).abs() < 4 * (weights * (1 - weights) / n).sqrt()).all()
    torch.testing.assert_close(
        torch.from_numpy(hot - cold), torch.from_numpy(2 * (warm - cold))
    )


def test_the_standard_normals_quantiles_are_those_of_python() -> None:
    """Against NormalDist, the same for every dimension."""
    levels = [0.001, 0.3, 0.5, 0.9]

    quantiles = StandardNormal(3).quantiles(torch.tensor(levels).double())

    own = [NormalDist().inv_cdf(p) for p in levels]
    wanted = torch.tensor(own).double()
    torch.testing.assert_close(quantiles, wanted.expand(3, 4), rtol=1e-6, atol=1e-6)


def test_a_mixture_has_its_share_below_each_quantile() -> None:
    """The weighted distribution functions of Python invert them."""
    p_z = mixture(latent_dim=2)

    quantiles = p_z.quantiles(LEVELS)

    weights = p_z.log_weights.exp().tolist()
    for j in range(2):
        mu, sigma = p_z.mu[:, j].tolist(), (0.5 * p_z.log_var[:, j]).exp().tolist()
        for value, level in zip(quantiles[j].tolist(), LEVELS.tolist(), strict=True):
            parts = zip(weights, mu, sigma, strict=True)
            share = sum(pi * NormalDist(m, s).cdf(value) for pi, m, s in parts)
            assert share == pytest.approx(level, abs=1e-12)


@pytest.mark.parametrize("p_z", [StandardNormal(3), mixture()])
def test_a_marginal_has_the_quantiles_and_moments_of_its_dimensions(p_z: Prior) -> None:
    """In the order asked for."""
    part = p_z.marginal([2, 0])

    assert part.latent_dim == 2
    torch.testing.assert_close(part.quantiles(LEVELS), p_z.quantiles(LEVELS)[[2, 0]])
    torch.testing.assert_close(part.moments(CPU).mu, p_z.moments(CPU).mu[[2, 0]])


@pytest.mark.parametrize("p_z", [StandardNormal(2), mixture(latent_dim=2)])
@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_outside_is_refused(p_z: Prior, level: float) -> None:
    """The quantile of 0 and of 1 is infinite."""
    with pytest.raises(ValueError, match=r"levels in \(0, 1\), got"):
        p_z.quantiles(torch.tensor([0.5, level]))


def test_the_box_holds_every_component() -> None:
    """To so many standard deviations, and touches the outermost on each side."""
    p_z = mixture()

    low, high = p_z.box(3.0, CPU)

    sigma = torch.exp(0.5 * p_z.log_var)
    ends = torch.stack([p_z.mu - 3 * sigma, p_z.mu + 3 * sigma])
    torch.testing.assert_close(low, ends[0].amin(dim=0))
    torch.testing.assert_close(high, ends[1].amax(dim=0))
