"""Each distribution against other implementations, integrals or its samples."""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Distribution, Normal, kl_divergence

from model.config import LikelihoodName
from model.distributions import (
    Bernoulli,
    ContinuousBernoulli,
    DiagonalGaussian,
    Gaussian,
    Likelihood,
)
from model.likelihoods import LIKELIHOODS

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
# Around every place where a formula of the continuous Bernoulli changes over.
ETAS = [
    sign * size
    for sign in (1, -1)
    for size in (0, 1e-8, 9e-4, 1e-3, 0.1, 0.4999, 0.5, 0.5001, 1, 3, 20, 50)
]
SATURATED = [1e4, -1e4]
N = 200_000


def double(values: object) -> Tensor:
    """Return a tensor in float64."""
    return torch.as_tensor(values, dtype=torch.float64)


def random(*shape: int, spread: float = 1, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, generator=generator, dtype=torch.float64)


def noise_for(family: type[Likelihood], *shape: int) -> Tensor:
    """Return noise of the kind that `sample` of this family asks for."""
    generator = torch.Generator().manual_seed(1)
    draw = {"uniform": torch.rand, "normal": torch.randn}[family.noise]
    return draw(shape, generator=generator, dtype=torch.float64)


def torch_log_prob(reference: Distribution, x: Tensor) -> Tensor:
    """Return torch's own log density."""
    log_prob: Tensor = reference.log_prob(x)
    return log_prob


def unit_interval() -> tuple[Tensor, Tensor]:
    """Return nodes and weights of Gauss-Legendre quadrature on 50 panels of [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    panels = np.arange(50)[:, None]
    return double((panels + (nodes + 1) / 2).ravel() / 50), double(
        np.tile(weights / 100, 50)
    )


def exact_log_prob(family: type[Likelihood], x: float, eta: float) -> float:
    """Return x eta - A(eta) of an exponential family with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        t = Decimal(eta)
        if family is Bernoulli:
            log_normalizer = (1 + t.exp()).ln()
        else:
            log_normalizer = ((t.exp() - 1) / t).ln() if t else Decimal(0)
        return float(Decimal(x) * t - log_normalizer)


@DTYPES
def test_kl_is_that_of_torch(dtype: torch.dtype) -> None:
    """KL(q || N(0, 1)) agrees with the KL of two normals for wide and narrow q."""
    mu, log_var = random(1000, spread=3), random(1000, spread=4, seed=1)
    q_z = DiagonalGaussian(mu.to(dtype), log_var.to(dtype))

    kl = q_z.kl_to_standard_normal()

    sigma = torch.exp(0.5 * q_z.log_var.double())
    reference = kl_divergence(Normal(q_z.mu.double(), sigma), Normal(0.0, 1.0))
    # Some roundings of the greatest term, which the KL is at least a part of.
    tolerance = 20 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        kl.double(), double(reference), rtol=tolerance, atol=tolerance
    )


@DTYPES
def test_kl_close_to_the_prior_is_small_and_not_negative(dtype: torch.dtype) -> None:
    """Near log_var = 0 the KL is log_var^2 / 4, without a rounding error of eps."""
    size = torch.logspace(-12, -4, 500, dtype=dtype)
    log_var = torch.cat([size, -size, size.new_tensor([1e-6, 0.0])])

    kl = DiagonalGaussian(torch.zeros_like(log_var), log_var).kl_to_standard_normal()

    assert (kl >= 0).all()
    assert kl[-1] == 0
    # The next term is log_var^3 / 12; roundings are relative to log_var, not to 1.
    series = log_var.double().square() / 4
    bound = size.double() ** 3 + 2 * torch.finfo(dtype).eps * size.double()
    assert ((kl.double() - series).abs()[:-2] <= bound.repeat(2)).all()


def test_log_prob_of_the_encoder_is_that_of_torch() -> None:
    """The log density of z is the sum of those of independent normals."""
    q_z = DiagonalGaussian(random(7, 3), random(7, 3, seed=1))
    z = random(4, 7, 3, seed=2)

    log_prob = q_z.log_prob(z)

    reference = torch_log_prob(Normal(q_z.mu, torch.exp(q_z.log_var).sqrt()), z).sum(-1)
    torch.testing.assert_close(log_prob, reference, rtol=1e-12, atol=1e-12)


def test_reparameterization_has_the_moments_of_q() -> None:
    """Draws have mean mu, variance exp(log_var) and uncorrelated dimensions."""
    mu, variance = double([-2.0, 0.0, 5.0]), double([0.04, 1.0, 9.0])
    eps = random(N, 3)

    z = DiagonalGaussian(mu, variance.log()).reparameterize(eps)

    # Five standard errors of a mean, of a variance and of a correlation.
    assert ((z.mean(dim=0) - mu).abs() < 5 * (variance / N).sqrt()).all()
    ratio = z.var(dim=0) / variance
    assert ((ratio - 1).abs() < 5 * math.sqrt(2 / N)).all()
    correlation = torch.corrcoef(z.T) - torch.eye(3)
    assert correlation.abs().max() < 5 / math.sqrt(N)


def test_noise_of_one_is_one_standard_deviation_up() -> None:
    """For mu = 5 and log_var = log 9 sigma is 3, and eps = 1 gives z = 8."""
    q_z = DiagonalGaussian(double([5.0]), double([9.0]).log())

    z = q_z.reparameterize(double([1.0]))

    torch.testing.assert_close(q_z.sigma, double([3.0]), rtol=1e-15, atol=0)
    torch.testing.assert_close(z, double([8.0]), rtol=1e-15, atol=0)


@DTYPES
def test_bernoulli_is_that_of_torch(dtype: torch.dtype) -> None:
    """The log density agrees with torch's at moderate logits."""
    eta = random(20, 5, spread=3).to(dtype)
    x = (random(20, 5, seed=1) > 0).to(dtype)

    log_prob = Bernoulli(eta).log_prob_per_dim(x)

    reference = torch_log_prob(TorchBernoulli(logits=eta.double()), x.double())
    # x eta and softplus(eta) are rounded at the size of eta.
    tolerance = 20 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        log_prob.double(), reference, rtol=tolerance, atol=tolerance
    )


@DTYPES
@pytest.mark.parametrize("family", [Bernoulli, ContinuousBernoulli])
@pytest.mark.parametrize("x", [0.0, 0.25, 1.0])
def test_logit_families_have_their_exact_log_densities(
    family: type[Bernoulli] | type[ContinuousBernoulli], x: float, dtype: torch.dtype
) -> None:
    """At every logit, saturated ones too, log p(x|z) is that computed to 60 digits."""
    eta = torch.tensor(ETAS + SATURATED, dtype=dtype)

    log_prob = family(eta).log_prob_per_dim(torch.full_like(eta, x))

    reference = double([exact_log_prob(family, x, value) for value in eta.tolist()])
    # Roundings at the size of eta; float64 series are cut where they err by 1e-14.
    bound = (4 * torch.finfo(dtype).eps + 1e-14) * (1 + eta.double().abs())
    assert ((log_prob.double() - reference).abs() <= bound).all()


@DTYPES
@pytest.mark.parametrize("family", [Bernoulli, ContinuousBernoulli])
@pytest.mark.parametrize("x", [0.0, 0.25, 1.0])
def test_the_score_of_logit_families_is_x_minus_the_mean(
    family: type[Bernoulli] | type[ContinuousBernoulli], x: float, dtype: torch.dtype
) -> None:
    """The slope d log p(x) / d eta is x - E[x] at every logit, and finite."""
    eta = torch.tensor([*ETAS, *SATURATED, 1e8, -1e8], dtype=dtype, requires_grad=True)
    p_x = family(eta)

    (score,) = torch.autograd.grad(
        p_x.log_prob_per_dim(torch.full_like(eta, x)).sum(), eta
    )

    # Near the change of formula 1 / eta and its like are of size 2 and cancel.
    tolerance = 20 * torch.finfo(dtype).eps + 1e-12
    torch.testing.assert_close(
        score, x - p_x.mean.detach(), rtol=tolerance, atol=tolerance
    )


def test_bernoulli_probabilities_sum_to_one() -> None:
    """p(0) + p(1) = 1, and p(1) is the mean, at every logit."""
    p_x = Bernoulli(double(ETAS + SATURATED))

    zero, one = (p_x.log_prob_per_dim(double(value)).exp() for value in (0, 1))

    torch.testing.assert_close(zero + one, torch.ones_like(one), rtol=1e-13, atol=0)
    # e^(eta - softplus(eta)) rounds at the size of eta.
    torch.testing.assert_close(one, p_x.mean, rtol=1e-13, atol=1e-13)


def test_continuous_bernoulli_is_that_of_torch_where_torch_is_stable() -> None:
    """The log density and the mean agree with torch's away from lambda = 1/2."""
    eta = double([value for value in ETAS if 0.5 < abs(value) <= 20])
    x = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
    p_x = ContinuousBernoulli(eta)

    log_prob, mean = p_x.log_prob_per_dim(x), p_x.mean

    # Torch clamps lambda; at logits of 20 it is left with some 9 digits.
    reference = TorchContinuousBernoulli(logits=eta)
    torch.testing.assert_close(
        log_prob, torch_log_prob(reference, x), rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(mean, reference.mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("eta", ETAS)
def test_continuous_bernoulli_integrates_to_one(eta: float) -> None:
    """The density over [0, 1] has mass 1, and its first moment is the mean."""
    x, weight = unit_interval()
    p_x = ContinuousBernoulli(double(eta))

    density = p_x.log_prob_per_dim(x).exp()

    # Twenty nodes per panel integrate e^(eta x), |eta| <= 50, to rounding.
    torch.testing.assert_close(
        torch.dot(weight, density), double(1.0), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(
        torch.dot(weight * x, density), p_x.mean, rtol=1e-12, atol=0
    )


@DTYPES
def test_the_gradient_of_the_continuous_bernoulli_mean_is_the_variance(
    dtype: torch.dtype,
) -> None:
    """The slope d E[x] / d eta is Var[x], finite where the exponentials overflow."""
    eta = torch.tensor([*ETAS, *SATURATED, 1e8, -1e8], dtype=dtype, requires_grad=True)

    (gradient,) = torch.autograd.grad(ContinuousBernoulli(eta).mean.sum(), eta)

    x, weight = unit_interval()
    t = eta.detach().double()[: len(ETAS), None]
    density = weight * ContinuousBernoulli(t).log_prob_per_dim(x).exp()
    mean = (density * x).sum(dim=1, keepdim=True)
    variance = (density * (x - mean).square()).sum(dim=1)
    # 1 / eta^2 and its like are of size 4 where they cancel most.
    tolerance = 40 * torch.finfo(dtype).eps + 1e-11
    torch.testing.assert_close(
        gradient.double()[: len(ETAS)], variance, rtol=0, atol=tolerance
    )
    assert ((gradient[len(ETAS) :] >= 0) & (gradient[len(ETAS) :] <= 1e-7)).all()
    of_x = ContinuousBernoulli(eta.detach()).variance
    torch.testing.assert_close(of_x, gradient, rtol=0, atol=tolerance)


@pytest.mark.parametrize("eta", ETAS)
def test_continuous_bernoulli_samples_invert_the_distribution_function(
    eta: float,
) -> None:
    """F(sample(u)) = u for F(x) = (e^(eta x) - 1) / (e^eta - 1)."""
    u = torch.linspace(0, 1, 101, dtype=torch.float64)[:-1]

    x = ContinuousBernoulli(double(eta)).sample(u)

    mass = x if eta == 0 else torch.expm1(eta * x) / math.expm1(eta)
    # Below |eta| = 1e-3 the inverse is a series cut after eta: it errs by eta^2 / 12.
    torch.testing.assert_close(mass, u, rtol=0, atol=1e-7)
    assert (x.diff() > 0).all()


@DTYPES
@pytest.mark.parametrize("family", [Bernoulli, ContinuousBernoulli])
@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2.0**-24])
def test_saturated_logits_draw_values_of_the_support(
    family: type[Bernoulli] | type[ContinuousBernoulli], u: float, dtype: torch.dtype
) -> None:
    """At logits of 1e4 in size and the least and greatest noise, x is a value."""
    eta = torch.tensor([*SATURATED, 0.0, 1e-8, -1e-8], dtype=dtype)

    x = family(eta).sample(torch.full_like(eta, u))

    assert x.dtype == dtype
    assert family.in_support(x).all()
    # Of the continuous family all but 2^-24 lies within log(2^24) / 1e4 of an end.
    assert u == 0 or x[0] > 0.998
    assert x[1] < 0.002


@pytest.mark.parametrize("eta", [-20.0, -0.5, 0.0, 2.0, 50.0])
def test_continuous_bernoulli_samples_have_its_distribution(eta: float) -> None:
    """The empirical distribution of float32 draws passes Kolmogorov and Smirnov."""
    u = noise_for(ContinuousBernoulli, N).float()

    x = ContinuousBernoulli(torch.tensor(eta)).sample(u).double().sort().values

    mass = x if eta == 0 else torch.expm1(eta * x) / math.expm1(eta)
    steps = torch.arange(N + 1, dtype=torch.float64) / N
    distance = torch.maximum((mass - steps[:-1]).abs(), (mass - steps[1:]).abs()).max()
    # P(distance > 2.2 / sqrt(N)) = 1.2e-4 (Kolmogorov).
    assert distance < 2.2 / math.sqrt(N)


@DTYPES
def test_gaussian_is_that_of_torch(dtype: torch.dtype) -> None:
    """The log density agrees with torch's normal, the constant included."""
    mu, log_var = random(9, 4).to(dtype), random(9, 4, spread=3, seed=1).to(dtype)
    x = random(9, 4, spread=2, seed=2).to(dtype)

    log_prob = Gaussian(mu, log_var).log_prob_per_dim(x)

    sigma = torch.exp(0.5 * log_var.double())
    reference = torch_log_prob(Normal(mu.double(), sigma), x.double())
    # x - mu, the exponential and the square are each rounded once.
    tolerance = 20 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        log_prob.double(), reference, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 1e3])
def test_gaussian_integrates_to_one(sigma: float) -> None:
    """The density over the real line has mass 1, mean mu and variance sigma^2."""
    u = torch.linspace(-12, 12, 2001, dtype=torch.float64)
    p_x = Gaussian(double(3.0), double(sigma).square().log())

    mass = p_x.log_prob_per_dim(3 + sigma * u).exp() * sigma * (u[1] - u[0])

    # Equal steps integrate a Gaussian to rounding; x itself is rounded at 3 / sigma.
    torch.testing.assert_close(mass.sum(), double(1.0), rtol=1e-10, atol=0)
    torch.testing.assert_close((mass * u).sum(), double(0.0), rtol=0, atol=1e-10)
    torch.testing.assert_close((mass * u**2).sum(), double(1.0), rtol=1e-10, atol=0)


def test_a_tiny_sigma_leaves_the_density_finite() -> None:
    """In float32, where 1 / sigma^2 overflows, log p(mu) is that of the formula."""
    log_var = torch.tensor([2 * math.log(1e-25)])

    log_prob = Gaussian(torch.tensor([1.0]), log_var).log_prob(torch.tensor([1.0]))

    expected = -0.5 * math.log(2 * math.pi) - math.log(1e-25)
    # Three roundings in float32.
    assert log_prob.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("p_x", "variance"),
    [
        (Bernoulli(double([-3.0, 0.2])), double([0.0451766597, 0.2475165727])),
        (
            ContinuousBernoulli(double([-3.0, 0.0])),
            double([1 / 9 - 1 / (4 * math.sinh(1.5) ** 2), 1 / 12]),
        ),
        (Gaussian(double([-3.0, 0.2]), double([0.01, 4.0]).log()), double([0.01, 4.0])),
    ],
    ids=["bernoulli", "continuous", "gaussian"],
)
def test_samples_have_the_mean_and_variance_of_their_likelihood(
    p_x: Likelihood, variance: Tensor
) -> None:
    """Sample moments are E[x|z] and Var[x|z] within five standard errors, both ways."""
    noise = noise_for(type(p_x), N, 2)

    x = p_x.sample(noise)

    assert x.shape == (N, 2)
    assert type(p_x).in_support(x).all()
    assert ((x.mean(dim=0) - p_x.mean).abs() < 5 * (variance / N).sqrt()).all()
    squares = (x - p_x.mean).square()
    error = 5 * squares.std(dim=0) / math.sqrt(N)
    assert ((squares.mean(dim=0) - variance).abs() < error).all()
    torch.testing.assert_close(p_x.variance, variance, rtol=1e-8, atol=0)


def test_the_variance_of_a_saturated_bernoulli_is_not_zero() -> None:
    """In float32 it is e^-|eta| where the mean has rounded to 0 or to 1."""
    p_x = Bernoulli(torch.tensor([-30.0, 30.0]))

    assert float(p_x.mean[1]) == 1
    torch.testing.assert_close(p_x.variance, torch.full((2,), math.exp(-30)))


@pytest.mark.parametrize(
    ("family", "inside", "outside"),
    [
        (Bernoulli, [0, 1], [0.5, -1, 2, 1e-30, math.nan, math.inf]),
        (ContinuousBernoulli, [0, 1e-30, 0.5, 1], [-1e-30, 1.0000001, math.nan]),
        (Gaussian, [-1e30, 0, 1e30], [math.nan, math.inf, -math.inf]),
    ],
)
def test_the_support_has_exactly_its_values(
    family: type[Likelihood], inside: list[float], outside: list[float]
) -> None:
    """Values of the support are in it, its neighbors and NaN are not."""
    x = torch.tensor([*inside, *outside])

    found = family.in_support(x)

    assert found.tolist() == [True] * len(inside) + [False] * len(outside)


def test_every_likelihood_a_configuration_may_name_exists() -> None:
    """The families by name are those of `config.json`, each under its own."""
    names = {name: family.kind for name, family in LIKELIHOODS.items()}

    assert names == {name: name for name in get_args(LikelihoodName)}


@pytest.mark.parametrize(
    "p_x",
    [
        Bernoulli(random(3, 5)),
        ContinuousBernoulli(random(3, 5)),
        Gaussian(random(3, 5), random(3, 5, seed=1)),
    ],
    ids=lambda p_x: type(p_x).__name__,
)
def test_log_prob_sums_over_the_data_dimensions_alone(p_x: Likelihood) -> None:
    """The log density of (K, N, D) values is (K, N), the sum over the last axis."""
    x = (random(2, 3, 5, seed=2) > 0).double()

    log_prob = p_x.log_prob(x)

    assert log_prob.shape == (2, 3)
    per_dim = p_x.log_prob_per_dim(x)
    reference = sum(per_dim[..., d] for d in range(5))
    torch.testing.assert_close(log_prob, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "log_prob",
    [
        lambda a, _: Bernoulli(a).log_prob(torch.arange(7) % 2),
        lambda a, b: ContinuousBernoulli(a).log_prob(torch.sigmoid(b)),
        lambda a, b: Gaussian(a, b).log_prob(torch.zeros_like(a)),
        lambda a, b: DiagonalGaussian(a, b).log_prob(torch.ones_like(a)),
        lambda a, b: DiagonalGaussian(a, b).kl_to_standard_normal(),
        lambda a, b: DiagonalGaussian(a, b).reparameterize(torch.ones_like(a)),
        lambda a, _: ContinuousBernoulli(a).mean,
    ],
    ids=["bernoulli", "continuous", "gaussian", "q", "kl", "reparameterize", "mean"],
)
def test_gradients_are_those_of_finite_differences(
    log_prob: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """The gradient with respect to each parameter is the slope of the function."""
    a = torch.cat([random(4), double([0.0, 1e-4, -0.3])]).requires_grad_()
    b = random(7, seed=1).requires_grad_()

    assert torch.autograd.gradcheck(log_prob, (a, b))
