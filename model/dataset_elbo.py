"""
Estimate the ELBO of a VAE on a data set, with noise that depends on a seed alone.

`python -m model.evaluate` does this for a checkpoint.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.elbo import elbo
from model.noise import BLOCK_ROWS, Stream, generator
from model.vae import VAE

# Burda et al. (2016), Sec. 2: a unit is active if Cov_x(E[z_j|x]) exceeds this.
ACTIVE_VARIANCE = 0.01

_PAIRS_PER_CHUNK = 2000

OnRows = Callable[[int], object]


class DatasetElbo(NamedTuple):
    """
    The terms of the ELBO in nats, (N,) each, and mu of q(z|x), (N, J); float64.

    Densities are in the data's units.

    Attributes:
        standard_error: Of `bound`, from the spread of the K draws; None for K = 1.
    """

    log_likelihood: NDArray[np.float64]
    kl: NDArray[np.float64]
    mu: NDArray[np.float64]
    standard_error: NDArray[np.float64] | None = None

    @property
    def bound(self) -> NDArray[np.float64]:
        """The ELBO, (N,)."""
        return self.log_likelihood - self.kl

    @property
    def n_active(self) -> int:
        """The number of active latent dimensions (Burda et al. 2016)."""
        return int(active_units(self.mu).sum())


def active_units(mu: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each latent dimension whether it is active, from mu, (N, J)."""
    active: NDArray[np.bool_] = mu.var(axis=0) > ACTIVE_VARIANCE
    return active


@torch.inference_mode()
def estimate_elbo(
    vae: VAE,
    x: Tensor,
    *,
    n_samples: int,
    seed: int,
    on_rows: OnRows = lambda n: None,
) -> DatasetElbo:
    """
    Estimate the ELBO of every row of x, (N, D), in the model's units, on its device.

    The noise is the same as for `/elbo` with these rows, in one request or in pieces:
    `normal_rows` of shape (N, K, J).

    Args:
        on_rows: Called after each step with the number of rows it has evaluated.
    """
    parts: list[list[NDArray[np.float64]]] = []
    for i, block in enumerate(torch.split(x, BLOCK_ROWS)):
        draw = generator(seed, Stream.LATENT, 0, i)
        for rows in torch.split(block, max(1, _PAIRS_PER_CHUNK // n_samples)):
            shape = (len(rows), n_samples, vae.config.latent_dim)
            eps = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))
            bound = elbo(vae, rows, eps=eps.to(x.device).transpose(0, 1))
            spread = bound.per_draw.double().std(dim=0, correction=int(n_samples > 1))
            tensors = (bound.log_likelihood, bound.kl, vae.encode(rows).mu, spread)
            parts.append([tensor.double().cpu().numpy() for tensor in tensors])
            on_rows(len(rows))
    log_likelihood, kl, mu, spreads = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    error = None if n_samples == 1 else spreads / n_samples**0.5
    return DatasetElbo(
        log_likelihood=log_likelihood + vae.log_jacobian,
        kl=kl,
        mu=mu,
        standard_error=error,
    )
