"""
Impute missing values of x from the observed ones: draws, mean and variance.

With x_o the observed and x_m the missing values, p(x_m | x_o) is the integral of
p(x_m|z) p(z|x_o) over z, because given z the likelihood factorizes over dimensions.
Weighted draws represent p(z|x_o) (Mattei & Frellsen 2018, Sec. 3.3); see `latents`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.distributions import Likelihood
from model.inference.estimate import widen
from model.inference.latents import Latents
from model.inference.observed import known_values
from model.inference.pauses import pause
from model.inference.proposals import wide_pairs_at_once
from model.noise import Stream, standard_normal, uniform
from model.tables.layout import Planes, TableLayout
from model.tables.likelihood import Summary, Table
from model.vae import VAE

_CHOICE, _DATA = 1, 2  # parts of a row's stream; `latents` reads part 0


class Imputation(NamedTuple):
    """
    Moments of and draws from p(x_m | x_o); observed values are returned unchanged.

    Attributes:
        mean: E[x_d | x_o], (N, D).
        mean_standard_error: 0 where observed, (N, D).
        variance: E[Var[x_d|z]] + Var[E[x_d|z]] given x_o, 0 where observed, (N, D).
        variance_standard_error: 0 where observed, (N, D).
        x: Draws of the complete x, (S, N, D).
        z: The latents of these draws, (S, N, J).
        levels: Of a table, the probabilities of the categories of `level_names`; 1 or
            0 where observed, (N, L), with L = 0 for other models.
        levels_standard_error: 0 where observed, (N, L).
    """

    mean: Tensor
    mean_standard_error: Tensor
    variance: Tensor
    variance_standard_error: Tensor
    x: Tensor
    z: Tensor
    levels: Tensor
    levels_standard_error: Tensor


@torch.no_grad()
def impute(
    vae: VAE,
    x: Tensor,
    observed: Tensor,
    given: Latents,
    *,
    n_samples: int,
    seed: int,
    first: int = 0,
) -> Imputation:
    """
    Return mean, variance and S = `n_samples` draws of x given the observed values.

    A draw takes a z with probability equal to its weight, then x ~ p(x|z).

    Of a table, mean and draws are codes, NaN where observed; see `_in_codes`.

    Args:
        given: The result of `latents` for the same x and mask.
        seed: For the choice among the latents, and for the data noise.
        first: Position of the first row, as for `latents`.
    """
    known = known_values(vae, x, observed)
    moments, drawn, chosen = [], [], []
    for i in range(len(x)):
        z, weights = given.z[:, i], given.log_weights[:, i].exp()
        moments.append(_moments(vae, z, weights, x.dtype))
        z = _resample(z, weights, n_samples, seed=seed, position=first + i)
        chosen.append(z)
        drawn.append(_sample(vae, z.to(x.dtype), seed=seed, position=first + i))
    found = _Moments(*(torch.stack(column) for column in zip(*moments, strict=True)))
    levels = levels_error = found.mean[:, :0]
    if vae.marginals is None:
        found = _Moments(*(column.to(x.dtype) for column in found))
    else:
        layout = vae.marginals.layout
        levels, levels_error = _levels(found, known, observed, layout)
        found, known = _in_codes(found, layout), x.new_tensor(math.nan)
    return Imputation(
        mean=torch.where(observed, known, found.mean),
        mean_standard_error=torch.where(observed, 0.0, found.mean_standard_error),
        variance=torch.where(observed, 0.0, found.variance),
        variance_standard_error=torch.where(
            observed, 0.0, found.variance_standard_error
        ),
        x=torch.where(observed, known, torch.stack(drawn, dim=1)),
        z=torch.stack(chosen, dim=1),
        levels=levels,
        levels_standard_error=levels_error,
    )


class _Moments(NamedTuple):
    """Mean and variance of x, with standard errors; (D,) each of one example."""

    mean: Tensor
    mean_standard_error: Tensor
    variance: Tensor
    variance_standard_error: Tensor


def _in_codes(found: _Moments, layout: TableLayout) -> _Moments:
    """
    Return what was averaged over indicators, (N, Q), as codes of the columns, (N, C).

    The mean of categories is the most probable one, its standard error that of its
    probability, and its variance the probability of the others.
    """
    summary = Summary(layout, found.mean)
    error = summary.pick(found.mean_standard_error)
    return _Moments(
        mean=summary.codes,
        mean_standard_error=error,
        variance=summary.spread(found.variance),
        variance_standard_error=torch.where(
            layout.tensor("has_logits", error.device),
            error,
            summary.pick(found.variance_standard_error),
        ),
    )


def _levels(
    found: _Moments, known: Tensor, observed: Tensor, layout: TableLayout
) -> tuple[Tensor, Tensor]:
    """Return probabilities and errors among averages of indicators, (N, Q)."""
    index, is_level = (
        layout.tensor(k, known.device) for k in ("with_logits", "is_level")
    )
    n = len(layout.on_axis)
    of_column = is_level.nonzero()[:, 0]
    where = observed[:, index][:, of_column]
    value = Planes.of(known).value[:, index][..., None]
    is_it = value == torch.arange(is_level.shape[1], device=known.device)
    return (
        torch.where(where, is_it[:, is_level].double(), found.mean[:, n:]),
        torch.where(where, 0.0, found.mean_standard_error[:, n:]),
    )


def _summarize(p_x: Likelihood) -> tuple[Tensor, Tensor]:
    """Return mean and variance given z, which can be averaged over z, float64."""
    if isinstance(p_x, Table):
        return p_x.indicators
    return p_x.mean.double(), p_x.variance.double()


class WeightedSquares:
    """Sums over draws of w^2 u^2 and w^4 u^4, for w-weighted means of u near 0."""

    def __init__(self, zeros: Tensor) -> None:
        self._n = 0
        self._square, self._fourth = zeros, zeros

    def add(self, w: Tensor, u: Tensor) -> None:
        """Add draws: weights, (K,), and values, (K, D)."""
        squares = (w[:, None] * u).square()
        self._n += len(w)
        self._square = self._square + squares.sum(dim=0)
        self._fourth = self._fourth + squares.square().sum(dim=0)

    def standard_error(self, correction: Tensor) -> Tensor:
        """Return the standard error of the mean, (D,), times the root of a factor."""
        square = self._square.square()
        freedom = 2 * square / (self._fourth - square / self._n)
        return widen((correction * self._square).sqrt(), freedom)


def _moments(vae: VAE, z: Tensor, weights: Tensor, dtype: torch.dtype) -> _Moments:
    """
    Return mean and variance of x with their standard errors.

    Both are weighted means of a function f of z, of which the delta method gives
    SE^2 = sum_k w_k^2 (f(z_k) - mean f)^2 (Owen 2013, Sec. 9.2). ESS / (ESS - 1)
    corrects it for a small effective sample size, and `widen` for few draws that
    determine it. The variance also has the square of the mean's error e, which counts
    where f hardly varies, as for binary x with E[x] = 1/2; E[e^4] = 3 SE^4.

    Args:
        z: Draws for one example, (K, J).
        weights: They sum to 1, (K,).
    """
    size = wide_pairs_at_once(vae)
    portions = [
        (w, z.to(dtype))
        for z, w in zip(torch.split(z, size), torch.split(weights, size), strict=True)
    ]
    mean, square = weights.new_zeros(2, 1)
    for w, z in portions:
        pause()
        of_z, variance = _summarize(vae.decode(z))
        mean = mean + w @ of_z
        square = square + w @ (variance + of_z.square())
    rounded = square - mean.square()  # the variance, with a rounding error
    rest = torch.zeros_like(mean)
    of_mean, of_variance = WeightedSquares(rest), WeightedSquares(rest)
    for w, z in portions:
        pause()
        of_z, variance = _summarize(vae.decode(z))
        off = of_z - mean
        f = variance + off.square() - rounded
        rest = rest + w @ f
        of_mean.add(w, off)
        of_variance.add(w, f)
    correction = 1 / (1 - weights.square().sum()).clamp(min=0.1)
    error = of_mean.standard_error(correction)
    first_order = of_variance.standard_error(correction)
    return _Moments(
        mean=mean,
        mean_standard_error=error,
        variance=(rounded + rest).clamp(min=0),
        variance_standard_error=torch.hypot(first_order, 3**0.5 * error.square()),
    )


def _resample(
    z: Tensor, weights: Tensor, n_samples: int, *, seed: int, position: int
) -> Tensor:
    """Resample S of the K latents of one example by their weights, (S, J)."""
    u = uniform(
        (n_samples,), seed=seed, stream=Stream.IMPUTATION, index=(position, _CHOICE)
    )
    share = weights.cumsum(dim=0)
    # Scaled by the last cumulative weight, which rounding may move away from 1.
    aim = torch.from_numpy(u).to(share) * share[-1]
    index = torch.searchsorted(share, aim, right=True)
    return z[index.clamp(max=len(share) - 1)]


def _sample(vae: VAE, z: Tensor, *, seed: int, position: int) -> Tensor:
    """Draw x ~ p(x|z) for one example, (S, D)."""
    draw = uniform if vae.likelihood.noise == "uniform" else standard_normal
    noise = draw(
        (len(z), vae.config.data_dim),
        seed=seed,
        stream=Stream.IMPUTATION,
        index=(position, _DATA),
    )
    return vae.decode(z).sample(torch.from_numpy(noise).to(z))
