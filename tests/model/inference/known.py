"""Models in float32 whose log p(x) is known, with encoders from good to awful."""

import copy
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.nn.functional import softplus

from model.config import Config
from model.elbo import elbo
from model.prior import GaussianMixture
from model.vae import VAE, initial_vae
from tests.model.ppca import bias, random, weight
from tests.tiny import tiny_config

D, J, N = 8, 4, 256
_VARIANCE = 0.3  # of p(x|z), of which the floor's square, 0.01, is a part


class Known(NamedTuple):
    """
    A model, rows drawn from it, and the truth.

    Attributes:
        vae: In float32, as the service has it.
        x: (N, D).
        log_p_x: In nats, (N,), float64.
    """

    vae: VAE
    x: Tensor
    log_p_x: NDArray[np.float64]


class Encoding(NamedTuple):
    """An encoder that is linear in x, with a constant variance."""

    gain: Tensor  # (J, D)
    shift: Tensor  # (J,)
    variance: Tensor  # (J,)


def good(q: Encoding) -> Encoding:
    """Return the best diagonal Gaussian."""
    return q


def mild(q: Encoding) -> Encoding:
    """Return q with variances of 0.6 times and means of 0.9 times what is best."""
    return Encoding(0.9 * q.gain, 0.9 * q.shift, 0.6 * q.variance)


def poor(q: Encoding) -> Encoding:
    """Return q with a shifted mean, a shrunk one, and two wrong variances."""
    gain, shift, variance = (part.clone() for part in q)
    shift[0] += 1.5 * variance[0].sqrt()
    gain[1] *= 0.7
    variance[2] /= 10
    variance[3] *= 4
    return Encoding(gain, shift, variance)


def awful(q: Encoding) -> Encoding:
    """Return q with means off by 3 standard deviations and a quarter of the width."""
    return Encoding(q.gain, q.shift + 3 * q.variance.sqrt(), q.variance / 16)


Quality = Callable[[Encoding], Encoding]


def linear(quality: Quality, *, is_correlated: bool) -> Known:
    """
    Return probabilistic PCA, N(x; b, W W' + s^2 I).

    p(z|x) has independent dimensions, unless it is correlated.
    """
    vae = _linear_vae(None)
    w = weight(vae.decoder.mu)
    w.copy_(random(D, J, seed=1) if is_correlated else _orthogonal(D, J))
    b = bias(vae.decoder.mu)
    b.copy_(random(D, seed=2))
    wide, offset = w.double(), b.double()
    precision = torch.eye(J).double() + wide.T @ wide / _VARIANCE
    gain = precision.inverse() @ wide.T / _VARIANCE
    best = Encoding(gain, -gain @ offset, 1 / precision.diagonal())
    _encode(vae, quality(best))
    covariance = wide @ wide.T + _VARIANCE * torch.eye(D).double()
    p_x: Any = MultivariateNormal(offset, covariance)
    x = (offset + random(N, D) @ torch.linalg.cholesky(covariance).T).float()
    return Known(vae, x, p_x.log_prob(x.double()).numpy())


def bimodal(quality: Quality) -> Known:
    """
    Return a linear model under a prior of two components, of which x says little.

    The encoder knows one of them only, and that as well as its quality lets it.
    """
    vae = _linear_vae({"kind": "gaussian_mixture", "n_components": 2})
    w = weight(vae.decoder.mu)
    w.copy_(random(D, J, seed=1))
    w[:, 0] *= 0.05
    with torch.no_grad():
        mean = vae.get_parameter("prior.mean").zero_()
        mean[:, 0] = torch.tensor([-2.0, 2.0])
        vae.get_parameter("prior.log_var")[:, 0] = math.log(0.25)
        vae.get_parameter("prior.log_var")[:, 1:] = 0.0
        vae.get_parameter("prior.logits").copy_(torch.tensor([0.0, 0.5]))
    p_z = vae.p_z
    assert isinstance(p_z, GaussianMixture)
    wide, s = w.double(), torch.diag_embed(p_z.log_var.double().exp())
    precision = s[0].inverse() + wide.T @ wide / _VARIANCE
    gain = precision.inverse() @ wide.T / _VARIANCE
    prior = precision.inverse() @ s[0].inverse() @ p_z.mu[0].double()
    best = Encoding(gain, prior, 1 / precision.diagonal())
    _encode(vae, quality(best))
    covariance = wide @ s @ wide.T + _VARIANCE * torch.eye(D).double()  # (2, D, D)
    p_x: Any = MultivariateNormal(p_z.mu.double() @ wide.T, covariance)
    which = torch.arange(N) % 2
    root = torch.linalg.cholesky(covariance)[which]
    eps = random(N, D, 1)
    x = ((p_z.mu.double() @ wide.T)[which] + (root @ eps)[..., 0]).float()
    log_p = p_z.log_weights.double() + p_x.log_prob(x.double()[:, None])
    return Known(vae, x, log_p.logsumexp(dim=1).numpy())


@functools.cache
def enumerable(*, n_steps: int) -> Known:
    """Return a Bernoulli model of 8 pixels, with every x; its encoder is trained."""
    vae = initial_vae(tiny_config("bernoulli", data_shape=(D,), latent_dim=2), seed=3)
    with torch.no_grad():
        for parameter in vae.decoder.parameters():
            parameter.copy_(2 * random(*parameter.shape, seed=parameter.numel()))
    codes = torch.arange(2**D)
    x = ((codes[:, None] >> torch.arange(D)) & 1).float()
    optimizer = torch.optim.Adam(vae.phi, lr=0.01)
    for step in range(n_steps):
        eps = random(8, len(x), 2, seed=step).float()
        optimizer.zero_grad()
        loss: Any = -elbo(vae, x, eps=eps).bound.mean()
        loss.backward()
        optimizer.step()
    vae.requires_grad_(False)
    return Known(vae, x, _integrated(vae))


def _integrated(vae: VAE) -> NDArray[np.float64]:
    """
    Return log p(x) of every x by the trapezoidal rule, J = 2, in float64.

    p(x|z) is a product of the probabilities of two halves of x, so that the sums over z
    for all x are a product of matrices.
    """
    axis = torch.linspace(-8, 8, 257, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)  # (K, J)
    eta = copy.deepcopy(vae.decoder).double()(z).eta
    half = (torch.arange(16)[:, None] >> torch.arange(D // 2) & 1).double()
    low, high = (
        torch.exp(part @ half.T - softplus(part).sum(dim=1, keepdim=True))
        for part in torch.split(eta, D // 2, dim=1)
    )  # (K, 16) each
    share = torch.exp(vae.p_z.log_prob(z))[:, None] * (16 / 256) ** 2
    p_x: NDArray[np.float64] = (high.T @ (share * low)).reshape(-1).numpy()
    return np.log(p_x)


def _linear_vae(prior: dict[str, Any] | None) -> VAE:
    linear_network = {"kind": "mlp", "hidden": (), "activation": "tanh"}
    document = {
        **tiny_config("gaussian", data_shape=(D,), latent_dim=J).model_dump(),
        "encoder": linear_network,
        "decoder": linear_network,
        "data": {
            "name": "tiny",
            "divided_by": 1.0,
            "binarization": "none",
            "standardized": False,
        },
        "prior": prior or {"kind": "standard_normal"},
    }
    vae = initial_vae(Config.model_validate(document), seed=0).requires_grad_(False)
    weight(vae.decoder.log_var).zero_()
    bias(vae.decoder.log_var).fill_(math.log(_VARIANCE - 0.1**2))
    weight(vae.encoder.log_var).zero_()
    return vae


def _encode(vae: VAE, q: Encoding) -> None:
    weight(vae.encoder.mu).copy_(q.gain)
    bias(vae.encoder.mu).copy_(q.shift)
    bias(vae.encoder.log_var).copy_(q.variance.log())


def _orthogonal(n_rows: int, n_columns: int) -> Tensor:
    q: Tensor = torch.linalg.qr(random(n_rows, n_columns, seed=1)).Q
    return q * torch.linspace(0.5, 2, n_columns)


MODELS: dict[str, Callable[[], Known]] = {
    "independent, good q": lambda: linear(good, is_correlated=False),
    "independent, poor q": lambda: linear(poor, is_correlated=False),
    "correlated, good q": lambda: linear(good, is_correlated=True),
    "correlated, mild misfit": lambda: linear(mild, is_correlated=True),
    "correlated, poor q": lambda: linear(poor, is_correlated=True),
    "correlated, awful q": lambda: linear(awful, is_correlated=True),
    "bimodal, q on one mode": lambda: bimodal(good),
    "bimodal, poor q": lambda: bimodal(poor),
    "Bernoulli, trained q": lambda: enumerable(n_steps=200),
    "Bernoulli, untrained q": lambda: enumerable(n_steps=0),
}
