"""Start a VAE as a linear Gaussian model, so that training can only improve on it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.config import Config, Mlp
from model.train.baselines import LinearGaussian
from model.vae import VAE

Matrix = NDArray[np.float64]


def max_start_factors(config: Config) -> int:
    """
    Return how many factors the networks can pass on unchanged; 0 if none.

    silu(t) - silu(-t) = t, and relu likewise, so a pair of hidden units passes one
    number through a layer.
    """
    pairs = [config.latent_dim]
    for network in (config.encoder, config.decoder):
        if not isinstance(network, Mlp):
            return 0
        if network.hidden and network.activation == "tanh":
            return 0
        pairs += [width // 2 for width in network.hidden]
    return min(pairs)


@torch.no_grad()
def set_linear_start(vae: VAE, law: LinearGaussian) -> None:
    """
    Set weights so that p(u) is the law, and q(z|u) its exact posterior.

    With the factors rotated so that W^T diag(1/variance) W = diag(s^2), the posterior
    is N(A (u - mean), V) with V = diag(1 / (1 + s^2)), A = V W^T diag(1/variance), and
    the ELBO is log p(u). Hidden units that do not pass on factors keep their random
    weights, and have no effect before the first step.

    Args:
        law: In the network's units, with at most `max_start_factors` factors.
    """
    k = max_start_factors(vae.config)
    a = law.loadings / np.sqrt(law.variance)[:, None]
    left, s, _ = np.linalg.svd(a, full_matrices=False)
    left, s = left[:, :k], s[:k]
    loadings = left * s * np.sqrt(law.variance)[:, None]  # (D, k)
    shrink = 1 / (1 + s**2)
    recognition = (shrink[:, None] * loadings.T) / law.variance  # A, (k, D)
    encoder, decoder = vae.encoder, vae.decoder
    n = len(s)
    _pass_on(encoder.torso, encoder.mu, recognition, np.eye(vae.config.latent_dim, n))
    encoder.mu.bias[:n] = _tensor(-recognition @ law.mean)
    encoder.log_var.weight.zero_()
    encoder.log_var.bias.zero_()
    encoder.log_var.bias[:n] = _tensor(np.log(shrink))
    factors = np.eye(n, vae.config.latent_dim)
    mu, log_var = _linear(decoder.mu), _linear(decoder.log_var)
    _pass_on(decoder.torso, mu, factors, loadings)
    mu.bias.copy_(_tensor(law.mean))
    log_var.weight.zero_()
    floor = np.exp(decoder.log_var_floor)
    excess = np.maximum(law.variance - floor, 1e-2 * floor)
    log_var.bias.copy_(_tensor(np.log(excess)))


def _pass_on(
    torso: nn.Sequential, head: nn.Linear, first: Matrix, last: Matrix
) -> None:
    """Set layers to the map last @ first; first is (n, inputs), last (outputs, n)."""
    layers = [layer for layer in torso if isinstance(layer, nn.Linear)]
    head.weight.zero_()
    if not layers:
        head.weight.copy_(_tensor(last @ first))
        return
    n = len(first)
    pairs = np.concatenate([np.eye(n), -np.eye(n)])  # (2 n, n)
    layers[0].weight[: 2 * n] = _tensor(pairs @ first)
    for layer in layers[1:]:
        layer.weight[: 2 * n].zero_()
        layer.weight[: 2 * n, : 2 * n] = _tensor(pairs @ pairs.T)
    head.weight[:, : 2 * n] = _tensor(last @ pairs.T)


def _linear(head: nn.Module) -> nn.Linear:
    if not isinstance(head, nn.Linear):
        raise TypeError(f"expected the head of an MLP, got {type(head).__name__}")
    return head


def _tensor(values: Matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
