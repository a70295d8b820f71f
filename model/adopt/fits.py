"""Fit what a decoder or a prior does not say: sigma of p(x|z), and p(z) itself."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.checkpoint.held_out import evenly
from model.config import Config
from model.distributions import DiagonalGaussian
from model.inference.health import posteriors
from model.noise import Stream, standard_normal
from model.vae import VAE, empty

Array = NDArray[np.float32]

_MAX_ROWS = 10_000
_ROWS_AT_ONCE = 250
_N_STEPS = 100
_LEAST_VARIANCE = 1e-6


def fit_log_var(vae: VAE, x: Array, *, per_dim: bool, seed: int) -> Tensor:
    """
    Return the constant log sigma^2 of highest ELBO on data, (1,) or (D,).

    sigma^2 = E[(x - mean(z))^2] over the rows of x, (n, D), and a draw of q(z|x) each.
    """
    rows = torch.from_numpy(x[evenly(len(x), _MAX_ROWS)])
    shape = (len(rows), vae.config.latent_dim)
    eps = torch.from_numpy(standard_normal(shape, seed=seed, stream=Stream.EVALUATION))
    total = torch.zeros(vae.config.data_dim, dtype=torch.float64)
    pieces = (torch.split(part, _ROWS_AT_ONCE) for part in (rows, eps))
    parts = zip(*pieces, strict=True)
    with torch.inference_mode():
        for part, noise in parts:
            mean = vae.decode(vae.encode(part).reparameterize(noise)).mean
            total += (part.double() - mean.double()).square().sum(dim=0)
    variance = total / len(rows)
    if not per_dim:
        variance = variance.mean(dim=0, keepdim=True)
    floor = vae.config.likelihood.sigma_floor or 0.0
    # sigma^2 = floor^2 + exp(log_var)
    return (variance - floor**2).clamp(min=1e-12).log().float()


def with_fitted_prior(vae: VAE, x: Array, *, n_components: int, seed: int) -> VAE:
    """
    Return the VAE with a mixture of Gaussians fitted to q(z|x) of data as its p(z).

    Args:
        x: Data, (n, D).
    """
    rows = torch.from_numpy(x[evenly(len(x), _MAX_ROWS)])
    q_z = posteriors(vae, rows)
    log_weights, mu, log_var = _fit_mixture(q_z, n_components, seed=seed)
    document = vae.config.model_dump()
    document["prior"] = {"kind": "gaussian_mixture", "n_components": n_components}
    fitted = empty(Config.model_validate(document), vae.graphs)
    state = {
        **vae.state_dict(),
        "prior.logits": log_weights.float(),
        "prior.mean": mu.float(),
        "prior.log_var": log_var.float(),
    }
    fitted.load_state_dict(state, assign=True)
    return fitted.requires_grad_(False).eval()


def _fit_mixture(
    q_z: DiagonalGaussian, n_components: int, *, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """
    Maximize a bound of E_q[log p(z)] over mixtures, by expectation-maximization.

    A row's share of a component is proportional to pi_c exp E_q[log N(z; mu_c,
    sigma_c^2)], as in Hershey & Olsen (2007).

    Returns:
        log_weights, (C,), mu and log_var, (C, J); float64.
    """
    mu, variance = q_z.mu.double(), q_z.log_var.double().exp()
    draw = np.random.Generator(np.random.Philox(seed))
    first = draw.choice(len(mu), n_components, replace=n_components > len(mu))
    means = mu[torch.from_numpy(first)].clone()
    spread = (variance + (mu - mu.mean(dim=0)).square()).mean(dim=0)
    variances = spread.expand(n_components, -1).clone()
    weights = torch.full((n_components,), 1 / n_components, dtype=torch.float64)
    for _ in range(1 if n_components == 1 else _N_STEPS):
        share = _shares(mu, variance, weights, means, variances)
        size = share.sum(dim=0).clamp(min=1e-9)  # (C,)
        weights = size / size.sum(dim=0)
        means = share.T @ mu / size[:, None]
        square = share.T @ (mu.square() + variance) / size[:, None]
        variances = (square - means.square()).clamp(min=_LEAST_VARIANCE)
    return weights.log(), means, variances.log()


def _shares(
    mu: Tensor, variance: Tensor, weights: Tensor, means: Tensor, variances: Tensor
) -> Tensor:
    """Return the share of each component in each row, (N, C)."""
    precision = 1 / variances
    square = (mu.square() + variance) @ precision.T - 2 * mu @ (means * precision).T
    constant = (means.square() * precision + variances.log()).sum(dim=1)
    log_normal = -0.5 * (square + constant + means.shape[1] * math.log(2 * math.pi))
    return torch.softmax(weights.log() + log_normal, dim=1)
