"""The objective of a run, and its value on validation, which selects the epoch."""

from typing import NamedTuple

import torch
from torch import Tensor

from model.dataset_elbo import DatasetElbo, estimate_elbo
from model.train.objectives import (
    OBJECTIVES,
    Objective,
    free_bits_elbo,
    mean_bound,
)
from model.train.options import RunOptions
from model.vae import VAE

_ROWS_PER_CHUNK = 4096


class Validation(NamedTuple):
    """The ELBO's terms on validation, and the mean of the bound that is trained on."""

    evaluation: DatasetElbo
    bound: float


def chosen_objective(options: RunOptions) -> Objective:
    """Return what the options train on."""
    if options.free_bits > 0:
        return free_bits_elbo(options.free_bits)
    return OBJECTIVES[options.objective]


def validate(vae: VAE, x: Tensor, options: RunOptions) -> Validation:
    """Evaluate validation rows, (N, D), with the same noise in each epoch."""
    k, seed = options.validation_samples, options.test_seed
    evaluation = estimate_elbo(vae, x, n_samples=k, seed=seed)
    if options.objective != "elbo":
        bound = mean_bound(vae, x, n_samples=options.n_samples, seed=seed)
    elif options.free_bits > 0:
        paid = options.beta * _paid_kl(vae, x, options.free_bits)
        bound = float(evaluation.log_likelihood.mean()) - paid
    elif options.beta != 1:
        weighted = evaluation.log_likelihood - options.beta * evaluation.kl
        bound = float(weighted.mean())
    else:
        bound = float(evaluation.bound.mean())
    return Validation(evaluation, bound)


@torch.inference_mode()
def _paid_kl(vae: VAE, x: Tensor, free_bits: float) -> float:
    """Return sum_j max(free_bits, mean over the rows of KL_j) in nats."""
    q_z = [vae.encode(rows) for rows in torch.split(x, _ROWS_PER_CHUNK)]
    kl = torch.cat([q.kl_to_standard_normal() for q in q_z])  # (N, J)
    return float(kl.double().mean(dim=0).clamp(min=free_bits).sum())
