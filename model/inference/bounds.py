"""The importance-weighted bound L_K of Burda et al. (2016) and its standard error."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.inference.estimate import Estimate
from model.inference.example import Example
from model.inference.importance import rounding, wide_decoder
from model.inference.pareto import pareto_k
from model.inference.proposals import Proposal, encode_wide, log_weight, pairs_at_once
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

N_BLOCKS = 32

_DRAWS = 8192  # in all blocks together, unless one block has more
_FEWEST = 8  # the least number of blocks for a standard error from their spread
_GROUPS = 32  # groups of draws, for the jackknife with fewer blocks
_PORTION = 1024  # the most draws decoded at once
_N_WIDE = 16  # draws that are decoded in float64 too


class ImportanceWeighted(NamedTuple):
    """
    An importance-sampling estimate of log p(x), per example, in nats.

    Attributes:
        bound: An estimate whose expectation is at most log p(x), and its standard error
            around that expectation, rounding included. The error does not include the
            bias, the distance from the expectation to log p(x).
        pooled: log of the mean of all weights, the best estimate of log p(x), (N,).
        n_samples: K, which may differ between examples, (N,).
        effective_sample_size: (sum w)^2 / sum w^2, of all weights (Kong 1992), (N,).
        pareto_k: k-hat of all weights, NaN where they are constant, (N,).
        is_reliable: Whether `bound` and its error can be trusted as those of log p(x)
            itself, (N,); None where only the bound is meant.
    """

    bound: Estimate
    pooled: Tensor
    n_samples: Tensor
    effective_sample_size: Tensor
    pareto_k: Tensor
    is_reliable: Tensor | None


def default_blocks(n_samples: int) -> int:
    """Return how many blocks of K draws are averaged: 32, or fewer for a large K."""
    return min(N_BLOCKS, max(1, _DRAWS // n_samples))


def max_samples(max_draws: int) -> int:
    """Return the largest K for which a bound takes at most `max_draws` draws."""
    return max_draws if max_draws >= _DRAWS else max_draws // N_BLOCKS


def importance_weighted(
    vae: VAE,
    x: Tensor,
    *,
    n_samples: int,
    seed: int,
    n_blocks: int | None = None,
    first: int = 0,
) -> ImportanceWeighted:
    """
    Estimate L_K = E[log 1/K sum_k p(x, z_k) / q(z_k|x)] <= log p(x), in nats.

    Burda et al. (2016), eq. 8, in float64: the mean over independent blocks of K draws.
    Examples are computed one at a time, so that the bits of one do not depend on the
    others.

    Args:
        x: Data in the likelihood's support, (N, D).
        n_samples: K.
        n_blocks: B; `default_blocks` unless given.
        first: Position of the first row in the whole data set. The noise of row i is a
            function of (seed, first + i) alone.

    Raises:
        ValueError: `n_samples` or `n_blocks` is less than 1.
    """
    if n_samples < 1 or (n_blocks is not None and n_blocks < 1):
        raise ValueError(
            "expected n_samples and n_blocks of at least 1, "
            f"got {n_samples} and {n_blocks}"
        )
    n = default_blocks(n_samples) if n_blocks is None else n_blocks
    found, exact = [], wide_decoder(vae)
    for i, one in enumerate(torch.split(x, 1)):
        index = torch.tensor([i], device=x.device)
        q_z = encode_wide(vae, one)
        noise = RowNoise.at(index + first, seed=seed, stream=Stream.IMPORTANCE)
        log_weights, eps = _log_weights(vae, one, q_z, noise, n_samples * n)
        z = q_z.reparameterize(eps)[:, 0]
        rounded = rounding(Example(vae, one), exact, z, log_weights[: len(z)])
        found.append(_measure(log_weights, n).plus(*rounded))
    values, errors, pooled, sizes, ks = (
        torch.stack(column) for column in zip(*found, strict=True)
    )
    return ImportanceWeighted(
        bound=Estimate(values, errors),
        pooled=pooled,
        n_samples=torch.full_like(values, n_samples, dtype=torch.int64),
        effective_sample_size=sizes,
        pareto_k=ks,
        is_reliable=None,
    )


@torch.no_grad()
def _log_weights(
    vae: VAE, x: Tensor, q_z: Proposal, noise: RowNoise, n_draws: int
) -> tuple[Tensor, Tensor]:
    """
    Return the log weights of all draws for one example, (n_draws,).

    And the noise of the first of them, at most `_N_WIDE`, (K, 1, `q_z.noise_dim`).
    """
    portion = min(_PORTION, pairs_at_once(vae))
    log_weights, first = [], []
    for start in range(0, n_draws, portion):
        size = min(portion, n_draws - start)
        eps = noise.normal(size, q_z.noise_dim).transpose(0, 1)
        if start < _N_WIDE:
            first.append(eps[: _N_WIDE - start])
        log_weights.append(log_weight(vae, x, q_z, eps)[:, 0])
    return torch.cat(log_weights), torch.cat(first)


class _One(NamedTuple):
    """The estimate for one example; each field is a scalar, ()."""

    value: Tensor
    standard_error: Tensor
    pooled: Tensor
    effective_sample_size: Tensor
    pareto_k: Tensor

    def plus(self, change: float, error: float) -> "_One":
        """Correct the estimates by an amount with an error."""
        return self._replace(
            value=self.value + change,
            standard_error=self.standard_error.square().add(error**2).sqrt(),
            pooled=self.pooled + change,
        )


def _measure(log_weights: Tensor, n: int) -> _One:
    """Return the estimate from log weights, (K B,); draw d is in block d mod B."""
    in_blocks = log_weights.reshape(-1, n)  # (K, B)
    values = torch.logsumexp(in_blocks, dim=0) - math.log(len(in_blocks))
    if n >= _FEWEST:
        error = values.std() / math.sqrt(n)
    else:
        error = _jackknife(in_blocks).square().sum().sqrt() / n
    log_sum = torch.logsumexp(log_weights, dim=0)
    return _One(
        value=values.mean(),
        standard_error=error,
        pooled=log_sum - math.log(len(log_weights)),
        effective_sample_size=torch.exp(
            2 * log_sum - torch.logsumexp(2 * log_weights, dim=0)
        ),
        pareto_k=pareto_k(log_weights[None])[0],
    )


def _jackknife(log_weights: Tensor) -> Tensor:
    """
    Return the standard error of log 1/K sum_k w_k of each block, (K, B) to (B,).

    Each of 32 groups of draws is left out in turn (Efron & Tibshirani 1993, Ch. 11).
    """
    n_groups = min(_GROUPS, len(log_weights))
    groups = torch.stack(
        [
            torch.logsumexp(log_weights[g::n_groups], dim=0) - math.log(n)
            for g, n in (
                (g, len(range(g, len(log_weights), n_groups))) for g in range(n_groups)
            )
        ]
    )  # (G, B)
    left_out = torch.eye(n_groups, dtype=torch.bool, device=groups.device)
    rest = torch.where(left_out[..., None], -math.inf, groups[None])  # (G, G, B)
    values = torch.logsumexp(rest, dim=1)
    return (n_groups - 1) / math.sqrt(n_groups) * values.std(dim=0)
