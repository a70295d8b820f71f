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
from model.inference.importance import Draws, Weighed, rounding, weigh, wide_decoder
from model.inference.mixture import SLOTS, Mixture
from model.inference.proposals import encode_wide
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

_FIRST_DRAWS = 512
_GROWTH = 1.25, 4.0  # of the number of draws per round: least and most
_SPARE = 1.05


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


class Proposed(NamedTuple):
    """
    What the draws for one example come from, whatever their number.

    Attributes:
        example: The example.
        modes: Gaussians around the modes of p(z|x).
        q_z: The mixture around them, from which z is drawn.
        position: Of the example in the whole data set, (1,).
        seed: Of all noise.
    """

    example: Example
    modes: Modes
    q_z: Mixture
    position: Tensor
    seed: int


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
    return assemble(found, x)


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
    return [
        draw(
            propose(vae, one, seed=seed, position=first + i),
            exact,
            target=target,
            budget=budget,
        )
        for i, one in enumerate(torch.split(x, 1))
    ]


def propose(vae: VAE, x: Tensor, *, seed: int, position: int) -> Proposed:
    """Fit modes to one example, (1, D), which is at this position in the data set."""
    index = torch.tensor([position], device=x.device)
    noise = RowNoise.at(index, seed=seed, stream=Stream.REFINEMENT)
    example, q_z = Example(vae, x), encode_wide(vae, x)
    modes = fit_modes(example, q_z, noise=noise)
    return Proposed(
        example=example,
        modes=modes,
        q_z=Mixture.around(modes, q_z, vae),
        position=index,
        seed=seed,
    )


def assemble(found: list[Explored], x: Tensor) -> ImportanceWeighted:
    """Combine the estimates of all examples, on the device of x."""
    estimates = [one.estimate for one in found]
    value, error, n, size, k, is_reliable = (
        _column(values, x) for values in zip(*estimates, strict=True)
    )
    return ImportanceWeighted(
        bound=Estimate(value, error),
        pooled=value,
        n_samples=n,
        effective_sample_size=size,
        pareto_k=k,
        is_reliable=is_reliable,
    )


@torch.no_grad()
def draw(
    given: Proposed, exact: nn.Module | None, *, target: float, budget: int
) -> Explored:
    """
    Draw until the estimate for one example is precise enough.

    Args:
        exact: The result of `wide_decoder`.
        target: As for `log_evidence`, like the budget.
    """
    noise = RowNoise.at(given.position, seed=given.seed, stream=Stream.IMPORTANCE)
    n = min(_FIRST_DRAWS, budget // SLOTS * SLOTS)
    draws = Draws(given.example, given.q_z, noise)
    log_weights, z = draws.next(n)
    offset = rounding(given.example, exact, z, log_weights)
    first_weights = log_weights
    while True:
        one = weigh(log_weights, given.q_z.slots, offset)
        n = len(log_weights)
        least, most = _GROWTH
        wanted = n * least
        if one.standard_error > target:
            ratio = one.standard_error / target if target > 0 else math.inf
            wanted = max(wanted, n * min(most, _SPARE * ratio**2))
        elif one.is_reliable:
            return Explored(one, given.modes, z, first_weights)
        else:
            wanted = 2 * n
        total = min(math.ceil(wanted / SLOTS), budget // SLOTS) * SLOTS
        if total <= n:
            return Explored(one, given.modes, z, first_weights)
        more, _ = draws.next(total - n)
        log_weights = torch.cat([log_weights, more])


def _column(values: tuple[Any, ...], x: Tensor) -> Tensor:
    """Return numbers as a tensor; floats become float64."""
    dtype = torch.float64 if isinstance(values[0], float) else None
    return torch.tensor(values, dtype=dtype, device=x.device)
