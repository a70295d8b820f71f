"""Estimate log p(x) by importance sampling, with its error and its reliability."""

import copy
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model.inference.bounds import ImportanceWeighted
from model.inference.estimate import Estimate
from model.inference.fitting import fit_modes
from model.inference.mixture import SLOTS, Mixture
from model.inference.pareto import pareto_k
from model.inference.proposals import encoded, log_likelihood
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

MIN_BUDGET = 256

_FIRST_DRAWS = 512
_GROWTH = 1.25, 4.0  # of the number of draws per round: least and most
_SPARE = 1.05
_PORTION_VALUES = 1 << 20  # decoded at once
_N_CHECKED = 64  # draws that are decoded in float64 too
_N_REPLICATES = 64  # a lower estimate of the degrees of freedom of the error

# Thresholds of `_is_reliable`.
_MAX_K = 0.5
_MIN_SAMPLE_SIZE = 40.0
_MAX_SHARE = 0.1
_MAX_ERROR = 0.5


class _One(NamedTuple):
    """The estimate for one example; each field is a number."""

    value: float
    standard_error: float
    n_samples: int
    effective_sample_size: float
    pareto_k: float
    is_reliable: bool


def log_evidence(
    vae: VAE,
    x: Tensor,
    *,
    target: float,
    budget: int,
    seed: int,
    first: int = 0,
) -> ImportanceWeighted:
    """
    Estimate log p(x), with enough draws to bring its standard error under the target.

    The log of the mean weight is at most log p(x) in expectation, and too low by about
    half its squared standard error. The standard error includes sampling noise and the
    rounding of a float32 decoder; the mean effect of rounding is corrected.

    Draws come from a `Mixture` around modes that are fitted to each example. Examples
    are computed one at a time, so that the bits of one do not depend on the others.

    Args:
        x: Data in the likelihood's support, (N, D).
        target: Sampling stops for an example when its standard error is at most this,
            in nats, and the estimate is reliable.
        budget: Sampling also stops after this many draws; at least 256.
        first: Position of the first row in the whole data set. The noise of row i is a
            function of (seed, first + i) alone.

    Raises:
        ValueError: The budget is too small.
    """
    if budget < MIN_BUDGET:
        raise ValueError(f"expected a budget of at least {MIN_BUDGET}, got {budget}")
    exact = wide_decoder(vae)
    found = []
    for i, one in enumerate(torch.split(x, 1)):
        position = torch.tensor([first + i], device=x.device)
        noise = RowNoise.at(position, seed=seed, stream=Stream.REFINEMENT)
        q_z = encoded(vae, one)
        modes = fit_modes(vae, one, q_z, noise=noise)
        found.append(
            estimated(
                vae,
                exact,
                one,
                Mixture.around(modes, q_z, vae),
                RowNoise.at(position, seed=seed, stream=Stream.IMPORTANCE),
                target=target,
                budget=budget,
            )
        )
    return _assembled(found, x)


def wide_decoder(vae: VAE) -> nn.Module | None:
    """Return a float64 copy of the decoder, or None if it is in float64 already."""
    if next(vae.decoder.parameters()).dtype == torch.float64:
        return None
    return copy.deepcopy(vae.decoder).double()


@torch.no_grad()
def estimated(
    vae: VAE,
    exact: nn.Module | None,
    x: Tensor,
    q_z: Mixture,
    noise: RowNoise,
    *,
    target: float,
    budget: int,
) -> _One:
    """Draw until the estimate for one example, (1, D), is precise enough."""
    n = min(_FIRST_DRAWS, budget // SLOTS * SLOTS)
    draws = _Draws(vae, x, q_z, noise)
    log_weights, z = draws.next(n)
    offset = _rounding(vae, exact, x, z, log_weights)
    while True:
        one = _measured(log_weights, q_z.slots, offset)
        n = len(log_weights)
        least, most = _GROWTH
        wanted = n * least
        if one.standard_error > target:
            ratio = one.standard_error / target if target > 0 else math.inf
            wanted = max(wanted, n * min(most, _SPARE * ratio**2))
        elif one.is_reliable:
            return one
        else:
            wanted = 2 * n
        total = min(math.ceil(wanted / SLOTS), budget // SLOTS) * SLOTS
        if total <= n:
            return one
        more, _ = draws.next(total - n)
        log_weights = torch.cat([log_weights, more])


class _Draws(NamedTuple):
    vae: VAE
    x: Tensor
    q_z: Mixture
    noise: RowNoise

    def next(self, n: int) -> tuple[Tensor, Tensor]:
        """Return log weights, (n,), and z, (n, J)."""
        portion = _PORTION_VALUES // self.vae.config.values_per_draw // SLOTS * SLOTS
        weights, zs = [], []
        for start in range(0, n, max(SLOTS, portion)):
            size = min(max(SLOTS, portion), n - start)
            eps = self.noise.normal(size, self.q_z.noise_dim)[0]
            z = self.q_z.reparameterize(eps)
            log_p_z = self.vae.p_z.log_prob(z)
            log_p_x = log_likelihood(self.vae, self.x, z)
            weights.append(log_p_x + log_p_z - self.q_z.log_prob(z, log_p_z))
            zs.append(z)
        return torch.cat(weights), torch.cat(zs)


def _rounding(
    vae: VAE, exact: nn.Module | None, x: Tensor, z: Tensor, log_weights: Tensor
) -> tuple[float, float]:
    """
    Return the effect of rounding on log p(x), and the standard error of that.

    The weighted mean, over some of the draws, of log p(x|z) in float64 minus log p(x|z)
    in the decoder's precision.
    """
    if exact is None:
        return 0.0, 0.0
    z, share = z[:_N_CHECKED], torch.softmax(log_weights[:_N_CHECKED], dim=0)
    wide = exact(z).log_prob(x.double())
    change = wide - log_likelihood(vae, x, z)
    mean = (share * change).sum()
    error = (share.square() * (change - mean).square()).sum()
    ess = 1 / share.square().sum()
    error = error * ess / (ess - 1).clamp(min=0.1)
    return float(mean), float(error.sqrt())


def _measured(
    log_weights: Tensor, slots: list[int], offset: tuple[float, float]
) -> _One:
    """Return the estimate from log weights, (n,), that were drawn in strata."""
    n, top = len(log_weights), log_weights.max()
    weights = torch.exp(log_weights - top)
    variance = weights.new_zeros(())
    for part in torch.split(weights.reshape(-1, SLOTS), slots, dim=1):
        variance = variance + part.numel() * part.flatten().var()
    total = weights.sum()
    chance = float(variance.sqrt() / total)
    error = math.hypot(chance, offset[1])
    size = float(total.square() / weights.square().sum())
    k = float(pareto_k(log_weights[None])[0])
    return _One(
        value=float(top + total.log()) - math.log(n) + offset[0],
        standard_error=error,
        n_samples=n,
        effective_sample_size=size,
        pareto_k=k,
        is_reliable=_is_reliable(k, size, error, float(weights.max() / total)),
    )


def _is_reliable(k: float, size: float, error: float, share: float) -> bool:
    """Return whether all diagnostics of an estimate are within their thresholds."""
    return (
        (k < _MAX_K or math.isnan(k))
        and size >= _MIN_SAMPLE_SIZE
        and share <= _MAX_SHARE
        and error <= _MAX_ERROR
    )


def _assembled(found: list[_One], x: Tensor) -> ImportanceWeighted:
    """Combine the estimates of all examples, on the device of x."""
    value, error, n, size, k, is_reliable = (
        _column(values, x) for values in zip(*found, strict=True)
    )
    return ImportanceWeighted(
        bound=Estimate(value, error, _N_REPLICATES),
        pooled=value,
        n_samples=n,
        effective_sample_size=size,
        pareto_k=k,
        is_reliable=is_reliable,
    )


def _column(values: tuple[Any, ...], x: Tensor) -> Tensor:
    """Return numbers as a tensor; floats become float64."""
    dtype = torch.float64 if isinstance(values[0], float) else None
    return torch.tensor(values, dtype=dtype, device=x.device)
