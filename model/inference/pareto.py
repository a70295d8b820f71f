"""Pareto k-hat, a diagnostic of the tail of importance weights."""

import math

import torch
from torch import Tensor

_MIN_TAIL = 5
# The prior's scale of Zhang & Stephens (2009), and the ten pseudo-observations of
# k = 1/2 of Vehtari et al. (2024).
_PRIOR_SCALE = 3.0
_PRIOR_COUNT = 10.0
_PRIOR_K = 0.5


def pareto_k(log_weights: Tensor) -> Tensor:
    """
    Return k-hat of each row of log importance weights, (N, S), as float64, (N,).

    It is the shape of a generalized Pareto distribution fitted to the M = min(S / 5,
    3 sqrt(S)) largest weights (Vehtari et al. 2024): weights have finite moments up to
    the order 1 / k. Below min(1 - 1 / log10 S, 0.7) a mean of S weights is reliable;
    above it, its standard error is not. NaN if there is no tail to fit: for S < 25, or
    for constant weights, as with q(z|x) = p(z|x). Infinite if the largest weights
    differ by more than float64 can represent.
    """
    n_draws = log_weights.shape[1]
    n_tail = math.ceil(min(n_draws / 5, 3 * math.sqrt(n_draws)))
    if n_tail < _MIN_TAIL:
        return log_weights.new_full((len(log_weights),), math.nan).double()

    top = log_weights.double().topk(n_tail + 1, dim=1).values.flip(1)  # ascending
    weights = torch.exp(top - top[:, -1:])
    k = _generalized_pareto_k(weights[:, 1:] - weights[:, :1])
    # Weights that differ by rounding only have no tail.
    is_constant = top[:, -1] - top[:, 0] < 1e-9
    return torch.where(is_constant, math.nan, k.nan_to_num(math.inf, math.inf))


def _generalized_pareto_k(excess: Tensor) -> Tensor:
    """
    Return the quasi-Bayesian estimate of k by Zhang & Stephens (2009).

    Their theta is b = -k / sigma here: k is positive for heavy tails.

    Args:
        excess: The amounts above the threshold, ascending, (N, M).
    """
    n_tail = excess.shape[1]
    n_grid = 30 + int(math.sqrt(n_tail))
    quartile = excess[:, int(n_tail / 4 + 0.5) - 1, None]
    i = torch.arange(1, n_grid + 1, device=excess.device, dtype=excess.dtype)

    b = 1 / excess[:, -1:] + (1 - torch.sqrt(n_grid / (i - 0.5))) / (
        _PRIOR_SCALE * quartile
    )  # (N, G)
    k = torch.log1p(-b[:, :, None] * excess[:, None]).mean(dim=2)
    profile = n_tail * (torch.log(-b / k) - k - 1)
    b_mean = (b * torch.softmax(profile, dim=1)).sum(dim=1, keepdim=True)
    k_mean = torch.log1p(-b_mean * excess).mean(dim=1)

    return (n_tail * k_mean + _PRIOR_COUNT * _PRIOR_K) / (n_tail + _PRIOR_COUNT)
