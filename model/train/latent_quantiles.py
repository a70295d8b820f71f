"""Estimate the quantiles of each latent dimension over held-out rows."""

import torch
from torch import Tensor

from model.checkpoint.held_out import AggregateQuantiles, AggregateSettings, evenly
from model.checkpoint.manifest import SplitName
from model.data_config import Binarization
from model.inference.health import posteriors
from model.inference.interpolation import aggregate_quantiles
from model.vae import VAE

# The cost grows with this number times the number of levels.
MAX_EXAMPLES = 512
# Levels at equal steps of their normal score, from 3.4e-6 to 1 - 3.4e-6.
N_LEVELS, MAX_SCORE = 129, 4.5


def latent_quantiles(
    vae: VAE, x: Tensor, *, split: SplitName, binarization: Binarization
) -> AggregateQuantiles:
    """
    Estimate the quantiles of q(z_j) on the rows of a split, at most 512 of them.

    Args:
        x: Data, (N, D), on the model's device.
    """
    rows = x[torch.from_numpy(evenly(len(x), MAX_EXAMPLES)).to(x.device)]
    scores = torch.linspace(-MAX_SCORE, MAX_SCORE, N_LEVELS, dtype=torch.float64)
    levels = torch.special.ndtr(scores)
    values = aggregate_quantiles(posteriors(vae, rows), levels)
    return AggregateQuantiles(
        levels=levels.numpy(),
        # Rounding may leave equal quantiles out of order.
        values=values.cummax(dim=1).values.numpy(),
        settings=AggregateSettings(
            split=split, binarization=binarization, n_examples=len(rows)
        ),
    )
