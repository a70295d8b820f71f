"""The amortization gap: the gain in ELBO if q(z|x) is fitted to each held-out row."""

import torch

from model.checkpoint.figures import mean_figure
from model.checkpoint.held_out import evenly
from model.checkpoint.manifest import Figure, SplitName
from model.data_config import Binarization
from model.inference.refinement import refine
from model.vae import VAE

_MOST_ROWS = 100
_MOST_VALUES = 1 << 16  # decoded with one draw of each row


def amortization_gap(
    vae: VAE,
    x: torch.Tensor,
    *,
    split: SplitName,
    binarization: Binarization,
    noise_seed: int,
) -> Figure | None:
    """
    Return the amortization gap (Cremer et al. 2018), or None if there is only one row.

    It is the mean of ELBO(q*) - ELBO(q) in nats over at most 100 evenly spaced rows of
    x, (N, D), fewer for a large model; q* is the result of `refine` with its defaults.
    """
    n = min(_MOST_ROWS, max(2, _MOST_VALUES // vae.config.values_per_draw))
    rows = x[torch.from_numpy(evenly(len(x), n)).to(x.device)]
    if len(rows) < 2:
        return None
    gain = refine(vae, rows, seed=noise_seed).improvement.value
    return mean_figure(
        "amortization_gap",
        gain.cpu().numpy(),
        split=split,
        binarization=binarization,
        n_samples=None,
        noise_seed=noise_seed,
    )
