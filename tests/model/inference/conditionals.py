"""p(x_m | x_o) in closed form or by quadrature, for the models of `known`."""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.nn.functional import softplus

from model.prior import GaussianMixture
from model.vae import VAE
from tests.model.ppca import VARIANCE, bias, random, weight


class Conditionals(NamedTuple):
    """log p(x_o), (N,), and mean and variance of x given x_o, (N, D)."""

    log_p_observed: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def mask_like(x: Tensor) -> Tensor:
    """Return masks of about half of x, at least one value of each row observed."""
    n, d = x.shape
    observed = random(n, d, seed=9) > 0
    return observed | (torch.arange(d) == torch.arange(n)[:, None] % d)


def gaussian(vae: VAE, x: Tensor, observed: Tensor) -> Conditionals:
    """Condition the Gaussians of a linear decoder (Bishop 2006, eq. 2.81, 2.82)."""
    w, b = weight(vae.decoder.mu).double(), bias(vae.decoder.mu).double()
    p_z, cpu = vae.p_z, torch.device("cpu")
    if isinstance(p_z, GaussianMixture):
        log_pi, mu, log_var = p_z.log_weights, p_z.mu, p_z.log_var
    else:
        moments = p_z.moments(cpu)
        log_pi, mu, log_var = torch.zeros(1), moments.mu[None], moments.log_var[None]
    means = b + mu.double() @ w.T  # (C, D)
    between = w @ torch.diag_embed(log_var.double().exp()) @ w.T
    covariances = between + VARIANCE * torch.eye(len(w)).double()  # (C, D, D)
    found = [
        _row(x[n].double(), observed[n], log_pi.double(), means, covariances)
        for n in range(len(x))
    ]
    return Conditionals(*(np.stack(column) for column in zip(*found, strict=True)))


def binary(vae: VAE, x: Tensor, observed: Tensor) -> Conditionals:
    """Integrate over z by the trapezoidal rule, for a Bernoulli decoder and J = 2."""
    axis = torch.linspace(-8, 8, 257, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    eta = copy.deepcopy(vae.decoder).double()(z).eta  # (G, D)
    log_prior = vae.p_z.log_prob(z) + 2 * np.log(16 / 256)
    mask = observed.double()
    # (N, G): sum_d mask_d (x_d eta_d - softplus(eta_d)), by products of matrices.
    log_joint = log_prior + (x.double() * mask) @ eta.T - mask @ softplus(eta).T
    mean = (torch.softmax(log_joint, dim=1) @ eta.sigmoid()).numpy()
    log_p_observed = torch.logsumexp(log_joint, dim=1).numpy()
    return Conditionals(log_p_observed, mean, mean * (1 - mean))


def _row(
    x: Tensor, o: Tensor, log_pi: Tensor, means: Tensor, covariances: Tensor
) -> tuple[Any, Any, Any]:
    log_p, mean, square = [], [], []
    for log_share, m, c in zip(log_pi, means, covariances, strict=True):
        p_o: Any = MultivariateNormal(m[o], c[o][:, o])
        log_p.append(log_share + p_o.log_prob(x[o]))
        gain = c[:, o] @ c[o][:, o].inverse()
        mean.append(m + gain @ (x[o] - m[o]))
        square.append((c - gain @ c[o]).diagonal() + mean[-1].square())
    share = torch.softmax(torch.stack(log_p), dim=0)
    total = share @ torch.stack(mean)
    variance = share @ torch.stack(square) - total.square()
    return torch.stack(log_p).logsumexp(dim=0).numpy(), total.numpy(), variance.numpy()
