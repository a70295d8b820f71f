"""
Weighted draws of z given the observed part of x.

They come from a mixture that is fitted to each row, as for log p(x), so the errors and
flags of estimates from them mean the same.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.inference.example import Example
from model.inference.fitting import (
    FEW_DIMENSIONS,
    N_PILOTS,
    fit_modes,
    max_points,
)
from model.inference.importance import Draws, Weighed, rounding, weigh, wide_decoder
from model.inference.mixture import SLOTS, Mixture
from model.inference.observed import encode_part, known_values
from model.noise import Stream
from model.prior import Prior
from model.row_noise import RowNoise
from model.vae import VAE

# Of the search for modes. Log p(x_o) hardly depends on a mode with a hundredth of the
# mass of p(z|x_o), but means over z do, by much more than their errors.
_MORE_PILOTS = 7
_WIDTH = 0.25


class Latents(NamedTuple):
    """
    Weighted draws of z that represent p(z|x_o), in float64.

    Attributes:
        z: (K, N, J).
        log_weights: Logarithms of the weights, which sum to 1 over the draws, (K, N).
        log_p_observed: Estimate of log p(x_o) in nats, the log of an unbiased estimate
            of p(x_o), so in expectation a lower bound (Burda et al. 2016), (N,).
        log_p_observed_standard_error: Its standard error, rounding included, (N,).
        is_reliable: Whether the estimates from these draws and their standard errors
            can be trusted, as for `log_evidence`, (N,).
    """

    z: Tensor
    log_weights: Tensor
    log_p_observed: Tensor
    log_p_observed_standard_error: Tensor
    is_reliable: Tensor

    @property
    def effective_sample_size(self) -> Tensor:
        """1 / sum_k w_k^2 (Kong 1992), between 1 and K, (N,)."""
        return torch.exp(-torch.logsumexp(2 * self.log_weights, dim=0))


def round_draws(n_draws: int) -> int:
    """Return the number of draws that `latents` takes for `n_draws`: whole strata."""
    return math.ceil(n_draws / SLOTS) * SLOTS


def max_decoded(latent_dim: int, *, n_draws: int, n_samples: int) -> int:
    """Return the most draws of z that imputing one example decodes."""
    fitting = max_points(latent_dim) + _more_pilots(latent_dim) * N_PILOTS
    return fitting + 3 * round_draws(n_draws) + n_samples


def _more_pilots(latent_dim: int) -> int:
    # In many dimensions, no number of draws from the prior finds a small mode.
    return _MORE_PILOTS if latent_dim <= FEW_DIMENSIONS else 0


class Fitted(NamedTuple):
    """
    What the draws of z for one example come from, whatever their number.

    Attributes:
        example: The observed part of the example.
        q_z: A mixture around the modes of p(z|x_o); None if nothing is observed.
        position: Of the example in the whole data set, (1,).
        seed: Of all noise.
    """

    example: Example
    q_z: Mixture | None
    position: Tensor
    seed: int


def latents(
    vae: VAE, x: Tensor, observed: Tensor, *, n_draws: int, seed: int, first: int = 0
) -> Latents:
    """
    Draw from p(z|x_o) by self-normalized importance sampling.

    The draws come from a `Mixture` around modes that are fitted to the observed values
    of each row, or from the prior, if nothing is observed. Rows are computed one at a
    time, so that the bits of one do not depend on the others.

    Args:
        x: Data, (N, D); unobserved values are not read and may be NaN.
        observed: True where x is known, bool, (N, D).
        n_draws: K, rounded up to a multiple of 64.
        first: Position of the first row; a row's noise depends on seed and position.

    Raises:
        ValueError: The mask does not fit x, or an observed value is outside the
            support.
    """
    return draw(vae, fit(vae, x, observed, seed=seed, first=first), n_draws=n_draws)


@torch.no_grad()
def fit(
    vae: VAE, x: Tensor, observed: Tensor, *, seed: int, first: int = 0
) -> list[Fitted]:
    """Fit a mixture to each row; arguments and errors are those of `latents`."""
    known = known_values(vae, x, observed)
    rows = zip(torch.split(known, 1), torch.split(observed, 1), strict=True)
    return [
        _fit_one(vae, *row, seed=seed, position=torch.tensor([i], device=x.device))
        for i, row in enumerate(rows, start=first)
    ]


def _fit_one(
    vae: VAE, known: Tensor, observed: Tensor, *, seed: int, position: Tensor
) -> Fitted:
    """Fit a mixture to one example, (1, D), 0 where it is not observed."""
    example = Example(vae, known, observed)
    if not observed.any():
        return Fitted(example, None, position, seed)
    start = encode_part(vae, known, observed)
    modes = fit_modes(
        example,
        start,
        noise=RowNoise.at(position, seed=seed, stream=Stream.OBSERVED),
        more_pilots=_more_pilots(vae.config.latent_dim),
        width=_WIDTH,
    )
    return Fitted(example, Mixture.around(modes, start, vae), position, seed)


@torch.no_grad()
def draw(vae: VAE, fits: Sequence[Fitted], *, n_draws: int) -> Latents:
    """Draw z for each row from what is fitted to it; see `latents`."""
    exact, n = wide_decoder(vae), round_draws(n_draws)
    found = [
        _from_prior(vae.p_z, one, n)
        if one.q_z is None
        else _from_mixture(one, one.q_z, exact, n)
        for one in fits
    ]
    values, errors, are_reliable = zip(
        *(
            (one.estimate.value, one.estimate.standard_error, one.estimate.is_reliable)
            for one in found
        ),
        strict=True,
    )
    z = torch.stack([one.z for one in found], dim=1)
    return Latents(
        z=z,
        log_weights=torch.stack([one.log_weights for one in found], dim=1),
        log_p_observed=z.new_tensor(values),
        log_p_observed_standard_error=z.new_tensor(errors),
        is_reliable=torch.tensor(are_reliable, device=z.device),
    )


class _Drawn(NamedTuple):
    """Draws for one example, (K, J), their log weights, (K,), and log p(x_o)."""

    z: Tensor
    log_weights: Tensor
    estimate: Weighed


def _from_mixture(one: Fitted, q_z: Mixture, exact: nn.Module | None, n: int) -> _Drawn:
    """Draw z for one example from the mixture that is fitted to it."""
    log_weights, z = Draws(one.example, q_z, _noise(one)).next(n)
    offset = rounding(one.example, exact, z, log_weights)
    estimate = weigh(log_weights, q_z.slots, offset)
    return _Drawn(z, log_weights - torch.logsumexp(log_weights, dim=0), estimate)


def _from_prior(p_z: Prior, one: Fitted, n: int) -> _Drawn:
    """Draw from p(z), which is p(z|x_o) where nothing is observed; log p is 0."""
    eps = _noise(one).normal(n, p_z.latent_dim + 1)[0]
    z = p_z.sample(eps[:, :-1], torch.special.ndtr(eps[:, -1]))
    estimate = Weighed(
        value=0.0,
        standard_error=0.0,
        n_samples=n,
        effective_sample_size=float(n),
        pareto_k=math.nan,
        is_reliable=True,
    )
    return _Drawn(z, torch.full_like(z[:, 0], -math.log(n)), estimate)


def _noise(one: Fitted) -> RowNoise:
    return RowNoise.at(one.position, seed=one.seed, stream=Stream.IMPUTATION)
