"""How much z says about each column of a table, beside its marginal."""

import numpy as np
import torch
from torch import Tensor

from model.checkpoint.held_out import evenly
from model.checkpoint.manifest import ColumnFit
from model.noise import Stream, standard_normal
from model.tables.layout import Planes
from model.vae import VAE

_MOST_ROWS = 4096
_ROWS_PER_CHUNK = 512


@torch.inference_mode()
def column_fits(vae: VAE, x: Tensor, *, noise_seed: int) -> tuple[ColumnFit, ...]:
    """
    Measure it on rows of a table, (N, 5 C), with one draw of z for each row.

    Raises:
        ValueError: The model is not of a table.
    """
    if vae.config.table is None:
        raise ValueError("expected a model of a table")
    rows = x[torch.from_numpy(evenly(len(x), _MOST_ROWS)).to(x.device)]
    eps = standard_normal(
        (len(rows), vae.config.latent_dim), seed=noise_seed, stream=Stream.EVALUATION
    )
    marginal, model, known = [], [], []
    for part, noise in zip(
        torch.split(rows, _ROWS_PER_CHUNK),
        torch.split(torch.from_numpy(eps).to(x.device), _ROWS_PER_CHUNK),
        strict=True,
    ):
        z = vae.encode(part).reparameterize(noise)
        planes = Planes.of(part)
        marginal.append(planes.log_share.double().cpu().numpy())
        model.append(vae.decode(z).log_prob_per_dim(part).double().cpu().numpy())
        known.append(planes.known.cpu().numpy())
    n_known = np.concatenate(known).sum(axis=0)
    marginals, models = (
        np.concatenate(parts).sum(axis=0) / np.maximum(n_known, 1)
        for parts in (marginal, model)
    )
    return tuple(
        ColumnFit(
            name=column.name,
            marginal=float(marginals[j]),
            model=float(models[j]),
            n_known=int(n_known[j]),
        )
        for j, column in enumerate(vae.config.table.columns)
    )
