"""The importance-weighted bound, and whether its error bars are what they say."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.bounds import (
    N_BLOCKS,
    ImportanceWeighted,
    importance_weighted,
    log_evidence,
)
from model.inference.proposals import encoded
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE
from tests.model.ppca import Build, D, N, best_ppca, ppca, random

REPETITIONS = 2000


def binary(n: int, *, seed: int = 3) -> Tensor:
    """Return binary rows, (n, 6)."""
    return (random(n, 6, seed=seed) > 0).double()


def wrong(q_z: DiagonalGaussian, by: float) -> DiagonalGaussian:
    """Return q with means that are off by so many standard deviations."""
    return DiagonalGaussian(q_z.mu + by * q_z.sigma, q_z.log_var)


def repeated(
    build: Build, *, by: float, n_samples: int, seed: int
) -> tuple[ImportanceWeighted, float]:
    """Estimate one x of a small linear model 2,000 times; return its log p(x) too."""
    model = best_ppca(build, 2)
    x = model.x[1:2].expand(REPETITIONS, -1)
    result = importance_weighted(
        model.vae,
        x,
        n_samples=n_samples,
        seed=seed,
        proposal=wrong(encoded(model.vae, x), by),
    )
    return result, float(model.log_p_x[1])


def coverage(result: ImportanceWeighted, truth: float) -> float:
    """Return the share of the 95 % intervals that hold the truth."""
    low, high = result.bound.interval
    return float(((low <= truth) & (truth <= high)).double().mean())


def test_with_the_exact_posterior_every_weight_is_p_x(build: Build) -> None:
    """For J = 1 the best q is p(z|x): no error, the whole sample, and no tail."""
    model = best_ppca(build, 1)

    result = importance_weighted(model.vae, model.x, n_samples=2, seed=0)

    for value in (result.bound.value, result.pooled):
        torch.testing.assert_close(value, model.log_p_x, rtol=1e-8, atol=1e-8)
    assert (result.bound.standard_error < 1e-9).all()
    torch.testing.assert_close(
        result.effective_sample_size, torch.full((N,), 2.0 * N_BLOCKS).double()
    )
    assert result.pareto_k.isnan().all()
    assert result.is_reliable.all()


@pytest.mark.parametrize("latent_dim", [2, 3])
def test_the_evidence_of_a_linear_gaussian_model_is_found(
    build: Build, latent_dim: int
) -> None:
    """Within three standard errors of log p(x), which are at most the target."""
    model = best_ppca(build, latent_dim)

    result = log_evidence(model.vae, model.x, target=0.005, budget=2**18, seed=2)

    error = result.bound.standard_error
    assert ((result.bound.value - model.log_p_x).abs() < 3 * error).all()
    assert ((result.pooled - model.log_p_x).abs() < 3 * error).all()
    assert (error <= 0.005).all()


def test_intervals_hold_the_evidence_as_often_as_they_say(build: Build) -> None:
    """With a good q they cover log p(x) in 95 +- 2 % of 2,000 repetitions."""
    result, log_p_x = repeated(build, by=0.0, n_samples=16, seed=4)

    assert coverage(result, log_p_x) == pytest.approx(0.95, abs=0.02)


def test_intervals_of_a_poor_q_hold_the_bound(build: Build) -> None:
    """
    With a q that is off by 2.5 sigma they cover L_K, if not log p(x), in 95 +- 2 %.

    L_K is known from the 2,000 repetitions together, 45 times better than from one.
    """
    result, log_p_x = repeated(build, by=2.5, n_samples=16, seed=4)
    bound = float(result.bound.value.mean())

    assert coverage(result, bound) == pytest.approx(0.95, abs=0.02)
    assert bound < log_p_x - 0.2
    assert coverage(result, log_p_x) < 0.5


def test_the_error_is_the_spread_of_repetitions(build: Build) -> None:
    """
    With a poor q too, in root mean square; the delta method's is less than half of it.

    The relative error of a variance of 32 values, over 2,000 repetitions, is 0.6 %.
    """
    result, _ = repeated(build, by=2.5, n_samples=1, seed=4)
    blocks = result.bound.standard_error.square() * N_BLOCKS

    spread = result.bound.value.std()

    error = result.bound.standard_error.square().mean().sqrt()
    assert error == pytest.approx(float(spread), rel=0.05)
    # The delta method for one draw of each of B blocks, by the effective sample size.
    delta = (1 / result.effective_sample_size - 1 / N_BLOCKS).clamp(min=0).sqrt()
    assert delta.mean() < 0.5 * result.pooled.std()
    assert blocks.mean() > 1


def test_stopping_early_costs_little_coverage(build: Build) -> None:
    """Where K is doubled until the error is small, intervals cover 95 +- 2 % still."""
    model = best_ppca(build, 2)
    x = model.x[1:2].expand(REPETITIONS, -1)

    result = log_evidence(model.vae, x, target=0.006, budget=2**14, seed=1, n_samples=1)

    assert coverage(result, float(model.log_p_x[1])) == pytest.approx(0.95, abs=0.02)
    assert len(set(result.n_samples.tolist())) > 1


def test_with_one_draw_it_is_the_elbo(build: Build) -> None:
    """L_1 = ELBO, to four standard errors."""
    model = ppca(build, 2)

    result = importance_weighted(
        model.vae, model.x, n_samples=1, n_blocks=20_000, seed=0
    )

    off = result.bound.value - (model.log_likelihood - model.kl)
    assert (off.abs() < 4 * result.bound.standard_error).all()


def test_the_bound_rises_with_k_and_stays_below(build: Build) -> None:
    """L_1 < L_4 < L_16 < log p(x) (Burda et al. 2016, Theorem 1)."""
    bounds, log_p_x = [], 0.0
    for n_samples in (1, 4, 16):
        result, log_p_x = repeated(build, by=1.5, n_samples=n_samples, seed=n_samples)
        bounds.append(float(result.bound.value.mean()))

    assert bounds == sorted(bounds)
    assert bounds[-1] < log_p_x
    assert result.pooled.mean() > bounds[-1]


@pytest.mark.parametrize("values", [1, 40, 1000, 10**9])
def test_k_is_right_whatever_the_chunks(
    build: Build, monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    """It is a logsumexp of all K log weights, in float64, from the row's own stream."""
    monkeypatch.setattr("model.inference.proposals.MAX_VALUES", values)
    monkeypatch.setattr("model.inference.bounds._MAX_WEIGHTS", values)
    vae, x = build().requires_grad_(False), binary(3)

    result = importance_weighted(vae, x, n_samples=5, n_blocks=4, seed=9)

    noise = RowNoise.at(torch.arange(3), seed=9, stream=Stream.IMPORTANCE)
    q_z = encoded(vae, x)
    z = q_z.reparameterize(noise.normal(20, 3).transpose(0, 1))
    log_w = vae.decode(z).log_prob(x) - q_z.log_prob(z)
    log_w = log_w - 0.5 * (3 * math.log(2 * math.pi) + z.square().sum(dim=2))
    blocks = torch.logsumexp(log_w.reshape(5, 4, 3), dim=0) - math.log(5)
    torch.testing.assert_close(result.bound.value, blocks.mean(dim=0))
    torch.testing.assert_close(result.bound.standard_error, blocks.std(dim=0) / 2)
    torch.testing.assert_close(
        result.pooled, torch.logsumexp(log_w, dim=0) - math.log(20)
    )
    weight = torch.softmax(log_w, dim=0)
    torch.testing.assert_close(
        result.effective_sample_size, 1 / weight.square().sum(dim=0)
    )


def test_company_does_not_matter(build: Build) -> None:
    """Each row alone, at its position, gets what it gets among rows of other K."""
    vae, x = build(latent_dim=2).requires_grad_(False), binary(8)
    run = partial(log_evidence, vae, target=0.06, budget=2**12, seed=3, n_samples=1)

    together = run(x)

    assert len(set(together.n_samples.tolist())) > 1
    for i in range(8):
        alone = run(x[i : i + 1], first=i)
        assert alone.n_samples[0] == together.n_samples[i]
        torch.testing.assert_close(alone.bound.value[0], together.bound.value[i])
        torch.testing.assert_close(alone.pareto_k[0], together.pareto_k[i])


def test_an_example_that_is_done_costs_no_more(build: Build) -> None:
    """As many z are decoded as the examples' K say, and none has more than needed."""
    vae, x = build(latent_dim=2).requires_grad_(False), binary(8)
    decoded: list[int] = []
    vae.decoder.torso.register_forward_hook(lambda *args: decoded.append(len(args[2])))

    result = log_evidence(vae, x, target=0.06, budget=2**12, seed=3, n_samples=1)

    assert sum(decoded) == int(result.n_samples.sum()) * N_BLOCKS
    spent = 2 * result.n_samples * N_BLOCKS > 2**12
    sure = (result.bound.standard_error <= 0.06) & result.is_reliable
    assert (sure | spent).all()
    assert (sure & ~spent).any()
    half = result.n_samples // 2
    for i in torch.nonzero(half)[:, 0].tolist():
        before = importance_weighted(
            vae, x[i : i + 1], n_samples=int(half[i]), seed=3, first=i
        )
        assert before.bound.standard_error > 0.06 or not before.is_reliable


def test_a_small_error_is_not_enough(build: Build) -> None:
    """With a target that is met at once, K grows until k-hat is reliable or to the end.

    A q too narrow for the posterior spends the budget.
    """
    model = best_ppca(build, 2)
    q_z = encoded(model.vae, model.x)
    narrow = DiagonalGaussian(q_z.mu, q_z.log_var - 4)

    good, poor = (
        log_evidence(model.vae, model.x, target=9, budget=2**12, seed=0, proposal=q)
        for q in (q_z, narrow)
    )

    assert good.is_reliable.all()
    assert (good.n_samples < 2**12 // N_BLOCKS).all()
    assert (poor.n_samples == 2**12 // N_BLOCKS).all()
    assert not poor.is_reliable.any()


def test_a_proposal_that_misses_is_not_reliable(build: Build) -> None:
    """With a q far too narrow, k-hat is above its threshold and the sample is small."""
    model = best_ppca(build, 2)
    q_z = encoded(model.vae, model.x)
    narrow = DiagonalGaussian(q_z.mu + 3 * q_z.sigma, q_z.log_var - 3)

    good, poor = (
        importance_weighted(model.vae, model.x, n_samples=32, seed=0, proposal=q)
        for q in (q_z, narrow)
    )

    assert good.is_reliable.all()
    assert not poor.is_reliable.any()
    assert (poor.effective_sample_size < 0.1 * good.effective_sample_size).all()


def test_a_model_in_float32_has_the_evidence_of_float64(build: Build) -> None:
    """Only the decoder rounds: 1e-5 nats from the same draws."""
    vae, x = build().requires_grad_(False), binary(4)
    q_z = encoded(vae, x)

    results = [
        importance_weighted(vae.to(t), x.to(t), n_samples=8, seed=1, proposal=q_z)
        for t in (torch.float64, torch.float32)
    ]

    wide, narrow = (result.bound.value for result in results)
    torch.testing.assert_close(narrow, wide, rtol=0, atol=1e-5)
    assert narrow.dtype == torch.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v, x: importance_weighted(v, x, n_samples=0, seed=0), "got 0 and 32"),
        (
            lambda v, x: importance_weighted(v, x, n_samples=2, n_blocks=1, seed=0),
            "got 2 and 1",
        ),
        (
            lambda v, x: log_evidence(v, x, target=0.1, budget=255, seed=0),
            "255 draws is less than n_samples x n_blocks = 8 x 32",
        ),
    ],
)
def test_sizes_that_cannot_be_are_refused(
    build: Build, call: Callable[[VAE, Tensor], object], message: str
) -> None:
    """An error says what was wanted and what came."""
    with pytest.raises(ValueError, match=message):
        call(ppca(build, 1).vae, torch.zeros(1, D).double())
