"""The importance-weighted bound, and whether its error bars are what they say."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from model.inference.bounds import (
    N_BLOCKS,
    ImportanceWeighted,
    default_blocks,
    importance_weighted,
    max_samples,
)
from model.inference.proposals import encode_wide
from model.noise import Stream
from model.row_noise import RowNoise
from tests.model.inference.known import good, linear
from tests.model.ppca import Build, D, N, Ppca, best_ppca, bias, ppca, random

REPETITIONS = 1000


def binary(n: int, *, seed: int = 3) -> Tensor:
    """Return binary rows, (n, 6)."""
    return (random(n, 6, seed=seed) > 0).double()


def wrong(build: Build, by: float) -> Ppca:
    """Return a linear model, J = 2, with a q off by so many standard deviations."""
    model = best_ppca(build, 2)
    sigma = torch.exp(0.5 * bias(model.vae.encoder.log_var))
    bias(model.vae.encoder.mu).add_(by * sigma)
    return model


@cache
def repeated(
    build: Build, *, by: float, n_samples: int
) -> tuple[ImportanceWeighted, float]:
    """Estimate one x of a small linear model 1,000 times; return its log p(x) too."""
    model = wrong(build, by)
    x = model.x[1:2].expand(REPETITIONS, -1)
    result = importance_weighted(model.vae, x, n_samples=n_samples, seed=4)
    return result, float(model.log_p_x[1])


T_975 = 2.0395  # of 31 degrees of freedom


def coverage(result: ImportanceWeighted, truth: float) -> float:
    """Return the share of the 95 % intervals, by Student's t, that hold the truth."""
    off = (result.bound.value - truth).abs() / result.bound.standard_error
    return float((off <= T_975).double().mean())


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
    assert result.is_reliable is None


def test_the_error_includes_the_rounding_of_a_model_in_float32() -> None:
    """All weights are p(x) but for rounding, nine times the error without it."""
    vae, x, log_p_x = linear(good, is_correlated=False)
    x, log_p_x = x[::4], log_p_x[::4]

    result = importance_weighted(vae, x, n_samples=8, seed=0)

    ratio = (result.bound.value.numpy() - log_p_x) / result.bound.standard_error.numpy()
    assert (result.bound.standard_error < 1e-6).all()
    assert 0.7 < math.sqrt((ratio**2).mean()) < 1.3  # of 64 rows


@pytest.mark.slow("computes many estimates")
def test_intervals_hold_the_evidence_as_often_as_they_say(build: Build) -> None:
    """With a good q they cover log p(x) in 95 +- 2 % of 1,000 repetitions."""
    result, log_p_x = repeated(build, by=0.0, n_samples=16)

    assert coverage(result, log_p_x) == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow("computes many estimates")
def test_intervals_of_a_poor_q_hold_the_bound(build: Build) -> None:
    """
    With a q that is off by 2.5 sigma they cover L_K, if not log p(x), in 95 +- 2 %.

    L_K is known from the 1,000 repetitions together, 30 times better than from one.
    """
    result, log_p_x = repeated(build, by=2.5, n_samples=16)
    bound = float(result.bound.value.mean())

    assert coverage(result, bound) == pytest.approx(0.95, abs=0.02)
    assert bound < log_p_x - 0.2
    assert coverage(result, log_p_x) < 0.5


@pytest.mark.slow("computes many estimates")
def test_the_error_is_the_spread_of_repetitions(build: Build) -> None:
    """
    With a poor q too, in root mean square; the delta method's is less than half of it.

    The relative error of a variance of 32 values, over 1,000 repetitions, is 0.6 %.
    """
    result, _ = repeated(build, by=2.5, n_samples=1)
    blocks = result.bound.standard_error.square() * N_BLOCKS

    spread = result.bound.value.std()

    error = result.bound.standard_error.square().mean().sqrt()
    assert error == pytest.approx(float(spread), rel=0.05)
    # The delta method for one draw of each of B blocks, by the effective sample size.
    delta = (1 / result.effective_sample_size - 1 / N_BLOCKS).clamp(min=0).sqrt()
    assert delta.mean() < 0.5 * result.pooled.std()
    assert blocks.mean() > 1


def test_with_one_draw_it_is_the_elbo(build: Build) -> None:
    """L_1 = ELBO, to four standard errors."""
    model = ppca(build, 2)

    result = importance_weighted(
        model.vae, model.x, n_samples=1, n_blocks=20_000, seed=0
    )

    off = result.bound.value - (model.log_likelihood - model.kl)
    assert (off.abs() < 4 * result.bound.standard_error).all()


@pytest.mark.slow("computes many estimates")
def test_the_bound_rises_with_k_and_stays_below(build: Build) -> None:
    """L_1 < L_4 < L_16 < log p(x) (Burda et al. 2016, Theorem 1)."""
    bounds, log_p_x = [], 0.0
    for n_samples in (1, 4, 16):
        result, log_p_x = repeated(build, by=2.5, n_samples=n_samples)
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
    monkeypatch.setattr("model.inference.bounds._PORTION", max(1, values // 6))
    vae, x = build().requires_grad_(False), binary(3)

    result = importance_weighted(vae, x, n_samples=5, n_blocks=8, seed=9)

    noise = RowNoise.at(torch.arange(3), seed=9, stream=Stream.IMPORTANCE)
    q_z = encode_wide(vae, x)
    z = q_z.reparameterize(noise.normal(40, 3).transpose(0, 1))
    log_w = vae.decode(z).log_prob(x) - q_z.log_prob(z)
    log_w = log_w - 0.5 * (3 * math.log(2 * math.pi) + z.square().sum(dim=2))
    blocks = torch.logsumexp(log_w.reshape(5, 8, 3), dim=0) - math.log(5)
    torch.testing.assert_close(result.bound.value, blocks.mean(dim=0))
    torch.testing.assert_close(result.bound.standard_error, blocks.std(dim=0) / 8**0.5)
    torch.testing.assert_close(
        result.pooled, torch.logsumexp(log_w, dim=0) - math.log(40)
    )
    weight = torch.softmax(log_w, dim=0)
    torch.testing.assert_close(
        result.effective_sample_size, 1 / weight.square().sum(dim=0)
    )


def test_a_model_in_float32_has_the_evidence_of_float64(build: Build) -> None:
    """Only the decoder rounds: 1e-5 nats from the same draws."""
    vae, x = build().requires_grad_(False), binary(4)

    results = [
        importance_weighted(vae.to(t), x.to(t), n_samples=8, seed=1)
        for t in (torch.float64, torch.float32)
    ]

    wide, narrow = (result.bound.value for result in results)
    torch.testing.assert_close(narrow, wide, rtol=0, atol=1e-5)
    assert narrow.dtype == torch.float64


def test_a_row_alone_has_the_bits_it_has_in_company(build: Build) -> None:
    """Each row alone, at its position, to the last bit, in float32 too."""
    vae = build(latent_dim=2).requires_grad_(False).float()
    x = binary(5).float()

    together = importance_weighted(vae, x, n_samples=70, seed=3)

    for i in range(5):
        alone = importance_weighted(vae, x[i : i + 1], n_samples=70, seed=3, first=i)
        assert torch.equal(alone.bound.value[0], together.bound.value[i])
        assert torch.equal(
            alone.bound.standard_error[0], together.bound.standard_error[i]
        )
        assert torch.equal(alone.pareto_k[0], together.pareto_k[i])


@pytest.mark.parametrize(
    ("n_samples", "n_blocks"), [(1, 32), (256, 32), (500, 16), (5000, 1), (65_536, 1)]
)
def test_large_k_is_measured_fewer_times(n_samples: int, n_blocks: int) -> None:
    """About 8,192 draws are made, and at least K."""
    assert default_blocks(n_samples) == n_blocks


def test_no_bound_takes_more_draws_than_allowed() -> None:
    """The largest K takes them all, or as many as whole blocks make."""
    for most in (512, 8192, 65_536):
        k = max_samples(most)
        assert k * default_blocks(k) == most


@pytest.mark.slow("computes many estimates")
@pytest.mark.parametrize("by", [0.0, 1.5, 2.5])
def test_one_block_knows_its_own_error(build: Build, by: float) -> None:
    """
    The jackknife's error is the spread of 400 repetitions, within a quarter.

    With a q that is off by 2.5 sigma too, where the delta method's is far too small.
    """
    model = wrong(build, by)
    x = model.x[1:2].expand(400, -1)

    result = importance_weighted(model.vae, x, n_samples=640, n_blocks=1, seed=1)

    error = result.bound.standard_error.square().mean().sqrt()
    assert error == pytest.approx(float(result.bound.value.std()), rel=0.25)


@pytest.mark.parametrize(
    ("n_samples", "n_blocks"), [(0, None), (2, 0)], ids=["draws", "blocks"]
)
def test_sizes_that_cannot_be_are_refused(
    build: Build, n_samples: int, n_blocks: int | None
) -> None:
    """An error says what was wanted and what came."""
    with pytest.raises(ValueError, match=f"got {n_samples} and {n_blocks}"):
        importance_weighted(
            ppca(build, 1).vae,
            torch.zeros(1, D).double(),
            n_samples=n_samples,
            n_blocks=n_blocks,
            seed=0,
        )
