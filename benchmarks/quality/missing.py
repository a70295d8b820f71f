"""The log density that an imputation gives to the true missing values."""

import torch
from torch import Tensor

from model.inference.latents import Latents
from model.inference.observed import known_values, masked_log_prob
from model.inference.proposals import pairs_at_once
from model.vae import VAE


@torch.no_grad()
def log_prob_missing(
    vae: VAE, truth: Tensor, observed: Tensor, given: Latents
) -> Tensor:
    """
    Estimate log p(x_m | x_o) at the true x_m, log sum_k w_k p(x_m|z_k), (N,), in nats.

    It is 0 if nothing is missing. The estimate is consistent in K. If the truth is
    improbable given x_o, few draws contribute, and the estimate is probably too low.

    Args:
        truth: Complete data, (N, D); its missing part must lie in the support.
        given: The result of `latents` for the observed part of the same rows.

    Raises:
        ValueError: A value is outside the support of the likelihood.
    """
    missing = ~observed
    known = known_values(vae, truth, missing)
    log_p = torch.cat(
        [
            masked_log_prob(vae.decode(z.to(truth.dtype)), known, missing)
            for z in torch.split(given.z, max(1, pairs_at_once(vae) // len(truth)))
        ]
    )
    return torch.logsumexp(given.log_weights + log_p, dim=0)
