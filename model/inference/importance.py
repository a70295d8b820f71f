"""Weighted draws of z for one example, and the error of their mean weight."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.inference.estimate import widen
from model.inference.example import Example
from model.inference.mixture import SLOTS, Mixture
from model.inference.pareto import pareto_k
from model.row_noise import RowNoise
from model.vae import VAE

_PORTION_VALUES = 1 << 20  # decoded at once
_N_CHECKED = 64  # draws that are decoded in float64 too

# Thresholds of `_is_reliable`.
_MAX_K = 0.5
_MIN_SAMPLE_SIZE = 40.0
_MAX_SHARE = 0.1
_MAX_ERROR = 0.5


class Weighed(NamedTuple):
    """
    An estimate of log p(x) for one example, in nats; each field is a number.

    Attributes:
        value: The log of the mean weight, corrected for rounding.
        standard_error: Of chance and rounding together.
        n_samples: The number of draws.
        effective_sample_size: (sum w)^2 / sum w^2 (Kong 1992).
        pareto_k: k-hat, NaN where the weights are constant.
        is_reliable: Whether value and standard error can be trusted.
    """

    value: float
    standard_error: float
    n_samples: int
    effective_sample_size: float
    pareto_k: float
    is_reliable: bool


def wide_decoder(vae: VAE) -> nn.Module | None:
    """Return a float64 copy of the decoder, or None if it is in float64 already."""
    if next(vae.decoder.parameters()).dtype == torch.float64:
        return None
    return copy.deepcopy(vae.decoder).double()


class Draws(NamedTuple):
    """Draws of z for one example, which continue one stream of noise."""

    example: Example
    q_z: Mixture
    noise: RowNoise

    def next(self, n: int) -> tuple[Tensor, Tensor]:
        """Return log weights, (n,), and z, (n, J); n is a multiple of 64."""
        config = self.example.vae.config
        portion = _PORTION_VALUES // config.values_per_draw // SLOTS * SLOTS
        weights, zs = [], []
        for start in range(0, n, max(SLOTS, portion)):
            size = min(max(SLOTS, portion), n - start)
            eps = self.noise.normal(size, self.q_z.noise_dim)[0]
            z = self.q_z.reparameterize(eps)
            log_p_z = self.example.p_z.log_prob(z)
            log_p_x = self.example.log_likelihood(z)
            weights.append(log_p_x + log_p_z - self.q_z.log_prob(z, log_p_z))
            zs.append(z)
        return torch.cat(weights), torch.cat(zs)


@torch.no_grad()
def rounding(
    example: Example, exact: nn.Module | None, z: Tensor, log_weights: Tensor
) -> tuple[float, float]:
    """
    Return the effect of rounding on log p(x), and the standard error of that.

    The weighted mean, over some of the draws, of log p(x|z) in float64 minus log p(x|z)
    in the decoder's precision.

    Args:
        exact: The result of `wide_decoder`.
        z: (K, J).
        log_weights: (K,).
    """
    if exact is None:
        return 0.0, 0.0
    z, share = z[:_N_CHECKED], torch.softmax(log_weights[:_N_CHECKED], dim=0)
    change = example.wide_log_likelihood(exact, z) - example.log_likelihood(z)
    mean = (share * change).sum()
    error = (share.square() * (change - mean).square()).sum()
    ess = 1 / share.square().sum()
    error = error * ess / (ess - 1).clamp(min=0.1)
    return float(mean), float(error.sqrt())


def weigh(
    log_weights: Tensor, slots: list[int], offset: tuple[float, float]
) -> Weighed:
    """
    Return the estimate from log weights, (n,), that were drawn in strata.

    Args:
        slots: Those of the mixture.
        offset: The result of `rounding`.
    """
    n, top = len(log_weights), log_weights.max()
    weights = torch.exp(log_weights - top)
    variance, spread = weights.new_zeros(2)
    rounds = weights.reshape(-1, SLOTS)
    for part in torch.split(rounds, _collapse(slots, len(rounds)), dim=1):
        squares = (part - part.mean()).square()
        variance = variance + squares.mean() * part.numel() ** 2 / (part.numel() - 1)
        spread = spread + (squares - squares.mean()).square().sum()
    total = weights.sum()
    freedom = 2 * variance.square() / spread  # of the variance (Satterthwaite 1946)
    chance = float(widen(variance.sqrt() / total, freedom))
    error = math.hypot(chance, offset[1])
    size = float(total.square() / weights.square().sum())
    k = float(pareto_k(log_weights[None])[0])
    return Weighed(
        value=float(top + total.log()) - math.log(n) + offset[0],
        standard_error=error,
        n_samples=n,
        effective_sample_size=size,
        pareto_k=k,
        is_reliable=_is_reliable(k, size, error, float(weights.max() / total)),
    )


def _collapse(slots: list[int], n_rounds: int) -> list[int]:
    """
    Return the slots of strata that have two draws or more, as a variance needs.

    A stratum of one draw is joined with the next one, or the last with the one before
    it; their variance together is estimated too large (Cochran 1977, Sec. 5A.12).
    """
    found = slots[:1]
    for n in slots[1:]:
        if min(found[-1], n) * n_rounds < 2:
            found[-1] += n
        else:
            found.append(n)
    return found


def _is_reliable(k: float, size: float, error: float, share: float) -> bool:
    """Return whether all diagnostics of an estimate are within their thresholds."""
    return (
        (k < _MAX_K or math.isnan(k))
        and size >= _MIN_SAMPLE_SIZE
        and share <= _MAX_SHARE
        and error <= _MAX_ERROR
    )
