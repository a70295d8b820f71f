"""
The golden check: stored examples must have the ELBO that training stored for them.

Hashes prove that the bytes are those that were written. This check proves that they
still mean the same: architecture, weights, noise and arithmetic, in the backend that
will serve, give the ELBO that training found.
"""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint.manifest import Golden
from model.dataset_elbo import estimate_elbo
from model.noise import Stream, standard_normal
from model.vae import VAE

N_EXAMPLES = 16
_N_SAMPLES = 4

# In nats. Float32 sums in another order cause small differences: for MLPs and
# convolutional networks, torch, ONNX Runtime and float64 differ by at most a fifth of
# this if units saturate, and by a hundredth if not. A wrong weight or layout changes
# the ELBO by whole nats.
_ABSOLUTE, _RELATIVE = 1e-3, 1e-5


def golden(vae: VAE, x: NDArray[np.floating[Any]], *, seed: int) -> Golden:
    """Score the first rows of x in data units, (n, D), on the CPU in float32."""
    scored = estimate_elbo(
        deepcopy(vae).cpu(),
        torch.from_numpy(vae.in_model_units(x[:N_EXAMPLES])),
        n_samples=_N_SAMPLES,
        seed=seed,
    )
    return Golden(seed=seed, n_samples=_N_SAMPLES, elbo=tuple(scored.bound.tolist()))


def noise(record: Golden, latent_dim: int) -> NDArray[np.float32]:
    """Return the eps with which the examples are scored, (n, K, J)."""
    shape = (len(record.elbo), record.n_samples, latent_dim)
    return standard_normal(shape, seed=record.seed, stream=Stream.LATENT)


def check(
    record: Golden,
    elbo: NDArray[np.floating],
    *,
    rounding: NDArray[np.float64] | float = 0.0,
) -> None:
    """
    Check the ELBO of the examples, (n,), in nats, against the stored one.

    Args:
        rounding: How far the stored ELBO may be off, (n,).

    Raises:
        ValueError: A value differs by more than 1e-3 + 1e-5 |ELBO|, or is not finite.
    """
    wanted = np.array(record.elbo)
    tolerance = _ABSOLUTE + _RELATIVE * np.abs(wanted) + rounding
    near = np.abs(elbo - wanted) <= tolerance
    if not near.all():
        row = int(np.argmin(near))
        raise ValueError(
            f"expected an ELBO of {wanted[row]:.6g} nats for example {row}, "
            f"got {elbo[row]:.6g}"
        )
