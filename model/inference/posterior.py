"""The exact posterior p(z|x) in one or two latent dimensions, by quadrature."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.lbfgs import maximize
from model.inference.pauses import pause
from model.inference.proposals import (
    Proposal,
    encode_wide,
    log_weight,
    wide_pairs_at_once,
)
from model.vae import VAE

MAX_LATENT_DIM = 2

# Points per axis, for J = 1 and 2: initial and maximal. A mode that the search from q
# does not reach is found if its standard deviation is above 0.001 and 0.02.
_POINTS = {1: (4097, 65_537), 2: (129, 1025)}
_HALF_WIDTH = 8.0  # of the initial grid, in standard deviations
_NEGLIGIBLE = 50.0  # nats below the maximum
_MAX_ROUNDS = 40
_TOLERANCE = 1e-6  # nats
_MAX_STEPS, _OF_MODE = 200, 1e-12  # of the search for the mode, and its tolerance, nats

_HERMITE_WIDTH = 8.5  # standard deviations; 2e-17 of a normal's mass lies outside
_HERMITE_POINTS = {1: (129, 32_769), 2: (65, 1025)}


class Posterior(NamedTuple):
    """
    p(z|x) of one example on a rectangular grid with equal steps, in float64.

    Attributes:
        axes: Values of each z_j, J of (G,).
        log_density: log p(z|x) in nats, (G,) or (G, G).
        log_p_x: Evidence, in nats; not finite if no grid resolves p(z|x).
        error: The change of log p(x) when the steps were last halved, in nats. The
            trapezoidal rule converges geometrically here, so the true error is usually
            smaller.
        converged: Whether `error` is within the tolerance.
    """

    axes: tuple[Tensor, ...]
    log_density: Tensor
    log_p_x: float
    error: float
    converged: bool

    @property
    def mean(self) -> Tensor:
        """E[z|x], (J,)."""
        return self._expectation(self._grid)

    @property
    def covariance(self) -> Tensor:
        """Cov[z|x], (J, J)."""
        centered = self._grid - self.mean
        return self._expectation(centered[..., :, None] * centered[..., None, :])

    @property
    def _grid(self) -> Tensor:
        return _points(self.axes)

    def _expectation(self, values: Tensor) -> Tensor:
        probability = torch.softmax(self.log_density.flatten(), dim=0)
        mean: Tensor = torch.tensordot(probability, values, dims=1)
        return mean


class Divergence(NamedTuple):
    """KL(q(z|x) || p(z|x)) in nats, (N,), and its error by quadrature, (N,)."""

    value: Tensor
    error: Tensor


@torch.no_grad()
def posterior(
    vae: VAE, x: Tensor, *, start: DiagonalGaussian | None = None
) -> tuple[Posterior, ...]:
    """
    Integrate p(x, z) over z for each example, and normalize.

    The grid first covers the prior, q, and the mode that is reached from q. It is then
    reduced to the region where p(x, z) is within 50 nats of its maximum, extended where
    that region reaches an edge, and refined until log p(x) changes by less than 1e-6
    nats.

    Args:
        x: Data in the likelihood's support, (N, D).
        start: q(z|x) in float64; the encoder's unless given.

    Raises:
        ValueError: The model has more than two latent dimensions.
    """
    _check(vae)
    q_z = encode_wide(vae, x) if start is None else start
    mode = _mode(vae, x, q_z)
    reach = _HALF_WIDTH * q_z.sigma
    prior = vae.p_z.box(_HALF_WIDTH, mode.device)
    low = torch.minimum(torch.minimum(q_z.mu, mode) - reach, prior.low)
    high = torch.maximum(torch.maximum(q_z.mu, mode) + reach, prior.high)
    return tuple(
        _integrate(vae, x[i], mode[i], _Box(low[i], high[i])) for i in range(len(x))
    )


def _mode(vae: VAE, x: Tensor, q_z: DiagonalGaussian) -> Tensor:
    """Maximize log p(x, z) from q's mean, in units of its standard deviations."""

    def log_joint(index: Tensor, eps: Tensor) -> Tensor:
        return vae.log_joint(x[index], q_z.rows(index).reparameterize(eps))

    start = torch.zeros_like(q_z.mu)
    best = maximize(log_joint, start, tolerance=_OF_MODE, max_steps=_MAX_STEPS)
    return q_z.reparameterize(best.point)


@torch.no_grad()
def kl_to_posterior(
    vae: VAE,
    x: Tensor,
    q_z: Proposal,
    posteriors: tuple[Posterior, ...],
) -> Divergence:
    """
    Return KL(q(z|x) || p(z|x)) = log p(x) - E_q[log p(x, z) - log q(z|x)].

    The expectation is computed by the trapezoidal rule too, in units of q.

    Args:
        x: Data, (N, D).
        q_z: Any Gaussian, in float64.
        posteriors: The result of `posterior` for x.
    """
    _check(vae)
    values, errors = [], []
    for i, exact in enumerate(posteriors):
        row = torch.tensor([i], device=x.device)
        elbo, error = _elbo(vae, x[row], q_z.rows(row))
        values.append(exact.log_p_x - elbo)
        errors.append(exact.error + error)
    like = x.new_empty(0, dtype=torch.float64)
    return Divergence(like.new_tensor(values), like.new_tensor(errors))


class _Box(NamedTuple):
    """A box in latent space; low and high are (J,)."""

    low: Tensor
    high: Tensor

    def axes(self, n: int) -> tuple[Tensor, ...]:
        unit = torch.linspace(0, 1, n, dtype=torch.float64, device=self.low.device)
        return tuple(low + (high - low) * unit for low, high in zip(*self, strict=True))

    def fit(self, log_joint: Tensor, mode: Tensor, ceiling: Tensor) -> "_Box":
        """Shrink to where the density is not negligible; extend where it is cut off."""
        n = log_joint.shape[0]
        step = (self.high - self.low) / (n - 1)
        kept = torch.nonzero(log_joint > ceiling - _NEGLIGIBLE)  # (P, J)
        if len(kept) == 0:
            return _Box(mode - step, mode + step)
        first, last = kept.amin(dim=0), kept.amax(dim=0)
        low = torch.where(
            first == 0, 1.5 * self.low - 0.5 * self.high, self.low + (first - 2) * step
        )
        high = torch.where(
            last == n - 1,
            1.5 * self.high - 0.5 * self.low,
            self.low + (last + 2) * step,
        )
        return _Box(torch.minimum(low, mode - step), torch.maximum(high, mode + step))

    def is_much_changed(self, box: "_Box") -> bool:
        """Return whether another box is wider in a dimension, or narrower by 1/4."""
        change = (box.high - box.low) / (self.high - self.low)
        wider = (box.low < self.low) | (box.high > self.high)
        return bool((wider | (change < 0.75)).any())


def _points(axes: tuple[Tensor, ...]) -> Tensor:
    """Return the points of a grid, (P, J); the last axis varies fastest."""
    product: Tensor = torch.cartesian_prod(*axes)
    return product.reshape(-1, len(axes))


def _check(vae: VAE) -> None:
    if vae.config.latent_dim > MAX_LATENT_DIM:
        raise ValueError(
            f"quadrature needs at most {MAX_LATENT_DIM} latent dimensions, "
            f"got {vae.config.latent_dim}"
        )


def _integrate(vae: VAE, x: Tensor, mode: Tensor, box: _Box) -> Posterior:
    """Fit the box and halve the steps until log p(x) does not change; x is (D,)."""
    n, most = _POINTS[len(mode)]
    at_mode = vae.log_joint(x[None], mode[None])[0]
    for _ in range(_MAX_ROUNDS):
        axes = box.axes(n)
        log_joint = _on_grid(vae, x, axes)
        # Minus infinity if z is so large that float64 cannot resolve the steps.
        steps = torch.stack([axis[1] - axis[0] for axis in axes])
        log_step = float(steps.log().sum())
        log_p_x = float(torch.logsumexp(log_joint.flatten(), dim=0)) + log_step
        coarse = log_joint[(slice(None, None, 2),) * len(axes)]
        error = abs(
            float(torch.logsumexp(coarse.flatten(), dim=0))
            + log_step
            + len(axes) * math.log(2)
            - log_p_x
        )
        ceiling = torch.maximum(at_mode, log_joint.max())
        box_fitted = box.fit(log_joint, mode, ceiling)
        is_settled = not box.is_much_changed(box_fitted)
        converged = is_settled and error <= _TOLERANCE
        if converged or (is_settled and 2 * n - 1 > most):
            break
        box, n = box_fitted, 2 * n - 1 if is_settled else n
    return Posterior(axes, log_joint - log_p_x, log_p_x, error, converged)


def _on_grid(vae: VAE, x: Tensor, axes: tuple[Tensor, ...]) -> Tensor:
    """Return log p(x, z) at every point of the grid, (G,) or (G, G)."""
    points = _points(axes)
    values = []
    for z in torch.split(points, wide_pairs_at_once(vae)):
        pause()
        values.append(vae.log_joint(x, z))
    return torch.cat(values).reshape([len(axis) for axis in axes])


def _elbo(vae: VAE, x: Tensor, q_z: Proposal) -> tuple[float, float]:
    """Return E_q[log p(x, z) - log q] of one example, (1, D), and its error."""
    n, most = _HERMITE_POINTS[vae.config.latent_dim]
    while True:
        axis = torch.linspace(
            -_HERMITE_WIDTH, _HERMITE_WIDTH, n, dtype=torch.float64, device=x.device
        )
        axes = (axis,) * vae.config.latent_dim
        points = _points(axes)[:, None]  # (P, 1, J)
        values = torch.cat(
            [
                log_weight(vae, x, q_z, eps)
                for eps in torch.split(points, wide_pairs_at_once(vae))
            ]
        ).reshape([n] * len(axes))
        log_mass = -0.5 * points.square().sum(dim=2).reshape(values.shape)
        every_other = (slice(None, None, 2),) * len(axes)
        fine = _mean(values, log_mass)
        error = abs(fine - _mean(values[every_other], log_mass[every_other]))
        if error <= _TOLERANCE or 2 * n - 1 > most:
            return fine, error
        n = 2 * n - 1


def _mean(values: Tensor, log_mass: Tensor) -> float:
    probability = torch.softmax(log_mass.flatten(), dim=0)
    return float(torch.dot(probability, values.flatten()))
