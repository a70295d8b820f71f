"""Estimate log p(x) by importance sampling, with its error and its reliability."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model.inference.bounds import ImportanceWeighted
from model.inference.budget import MIN_BUDGET
from model.inference.estimate import Estimate
from model.inference.example import Example
from model.inference.fitting import Modes, fit_modes
from model.inference.importance import Draws, Weighed, rounding, weighed, wide_decoder
from model.inference.mixture import SLOTS, Mixture
from model.inference.proposals import encoded
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

_FIRST_DRAWS = 512
_GROWTH = 1.25, 4.0  # of the number of draws per round: least and most
_SPARE = 1.05
_N_REPLICATES = 64  # a lower estimate of the degrees of freedom of the error


class Explored(NamedTuple):
    """
    log p(x) of one example, and what it was estimated from.

    Attributes:
        estimate: The estimate.
        modes: Gaussians around the modes of p(z|x).
        z: The first draws, (K, J); with their weights they represent p(z|x).
        log_weights: (K,).
    """

    estimate: Weighed
    modes: Modes
    z: Tensor
    log_weights: Tensor


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
    found = explore(vae, x, target=target, budget=budget, seed=seed, first=first)
    return assembled(found, x)


def explore(
    vae: VAE, x: Tensor, *, target: float, budget: int, seed: int, first: int = 0
) -> list[Explored]:
    """
    Fit modes to each example of x, (N, D), and draw around them.

    The arguments and errors are those of `log_evidence`.
    """
    if budget < MIN_BUDGET:
        raise ValueError(f"expected a budget of at least {MIN_BUDGET}, got {budget}")
    exact = wide_decoder(vae)
    found = []
    for i, one in enumerate(torch.split(x, 1)):
        position = torch.tensor([first + i], device=x.device)
        noise = RowNoise.at(position, seed=seed, stream=Stream.REFINEMENT)
        example, q_z = Example(vae, one), encoded(vae, one)
        modes = fit_modes(example, q_z, noise=noise)
        found.append(
            _explored(
                example,
                exact,
                modes,
                Mixture.around(modes, q_z, vae),
                RowNoise.at(position, seed=seed, stream=Stream.IMPORTANCE),
                target=target,
                budget=budget,
            )
        )
    return found


def assembled(found: list[Explored], x: Tensor) -> ImportanceWeighted:
    """Combine the estimates of all examples, on the device of x."""
    estimates = [one.estimate for one in found]
    value, error, n, size, k, is_reliable = (
        _column(values, x) for values in zip(*estimates, strict=True)
    )
    return ImportanceWeighted(
        bound=Estimate(value, error, _N_REPLICATES),
        pooled=value,
        n_samples=n,
        effective_sample_size=size,
        pareto_k=k,
        is_reliable=is_reliable,
    )


@torch.no_grad()
def _explored(
    example: Example,
    exact: nn.Module | None,
    modes: Modes,
    q_z: Mixture,
    noise: RowNoise,
    *,
    target: float,
    budget: int,
) -> Explored:
    """Draw until the estimate for one example is precise enough."""
    n = min(_FIRST_DRAWS, budget // SLOTS * SLOTS)
    draws = Draws(example, q_z, noise)
    log_weights, z = draws.next(n)
    offset = rounding(example, exact, z, log_weights)
    first_weights = log_weights
    while True:
        one = weighed(log_weights, q_z.slots, offset)
        n = len(log_weights)
        least, most = _GROWTH
        wanted = n * least
        if one.standard_error > target:
            ratio = one.standard_error / target if target > 0 else math.inf
            wanted = max(wanted, n * min(most, _SPARE * ratio**2))
        elif one.is_reliable:
            return Explored(one, modes, z, first_weights)
        else:
            wanted = 2 * n
        total = min(math.ceil(wanted / SLOTS), budget // SLOTS) * SLOTS
        if total <= n:
            return Explored(one, modes, z, first_weights)
        more, _ = draws.next(total - n)
        log_weights = torch.cat([log_weights, more])


def _column(values: tuple[Any, ...], x: Tensor) -> Tensor:
    """Return numbers as a tensor; floats become float64."""
    dtype = torch.float64 if isinstance(values[0], float) else None
    return torch.tensor(values, dtype=dtype, device=x.device)
