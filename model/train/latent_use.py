"""Measure how a trained model uses its latent dimensions."""

import math

import torch
from torch import Tensor

from model.checkpoint.held_out import evenly
from model.checkpoint.manifest import LatentUse, SplitName
from model.data_config import Binarization
from model.inference.health import Health, MeanEstimate, health, posteriors
from model.noise import Stream, standard_normal
from model.vae import VAE

# The cost grows with the square of this number.
MAX_EXAMPLES = 4096
_MAX_KL = 1000.0  # nats per dimension


def latent_use(
    vae: VAE,
    x: Tensor,
    *,
    split: SplitName,
    binarization: Binarization,
    noise_seed: int,
) -> LatentUse:
    """
    Measure it on the rows of a split, (N, D), on at most `MAX_EXAMPLES` of them.

    Args:
        x: Data in the likelihood's support, on the model's device.
    """
    rows = x[torch.from_numpy(evenly(len(x), MAX_EXAMPLES)).to(x.device)]
    shape = (1, len(rows), vae.config.latent_dim)
    eps = standard_normal(shape, seed=noise_seed, stream=Stream.EVALUATION)
    found = health(posteriors(vae, rows), vae.p_z, eps=torch.from_numpy(eps))
    per_dim = found.kl_per_dim
    information = found.aggregate.mutual_information
    to_prior = found.aggregate.kl_to_prior
    return LatentUse(
        verdict=_verdict(found),
        kl_per_dim=None if per_dim is None else tuple(per_dim.tolist()),
        active=tuple(found.active.tolist()),
        mutual_information=information.value,
        mutual_information_standard_error=_error(information),
        kl_to_prior=to_prior.value,
        kl_to_prior_standard_error=_error(to_prior),
        split=split,
        n_examples=len(rows),
        binarization=binarization,
        noise_seed=noise_seed,
    )


def _verdict(found: Health) -> str:
    """Return whether the posterior has collapsed; a KL without sense is no use of z."""
    kl = found.aggregate.expected_kl
    if kl <= _MAX_KL * len(found.active):
        return found.verdict
    return f"The KL is {kl:.3g} nats per example: training has diverged."


def _error(estimate: MeanEstimate) -> float | None:
    """Return the standard error, or None for a single example."""
    error = estimate.standard_error
    return error if math.isfinite(error) else None
