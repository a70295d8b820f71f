"""
Bounds on log p(x) from both sides, which limit its bias and not only its variance.

The upper bound is reverse importance sampling: for z from p(z|x), the mean of
q(z|x) / p(x, z) is 1 / p(x) (AEVB App. D). By Jensen's inequality, minus its logarithm
is too high in expectation, just as the importance-weighted bound is too low (Grosse et
al. 2015, *Sandwiching the marginal likelihood using bidirectional Monte Carlo*).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.inference.estimate import Estimate
from model.inference.evidence import Explored
from model.inference.example import Example
from model.inference.fitting import Modes
from model.inference.hmc import N_LEAPFROGS, RESAMPLING, sample_posterior
from model.inference.importance import rounding, wide_decoder
from model.inference.proposals import FullGaussian
from model.noise import Stream
from model.row_noise import RowNoise
from model.vae import VAE

N_CHAINS, N_DRAWS, N_WARMUP = 20, 110, 12
N_DECODED = N_CHAINS * (N_DRAWS + N_WARMUP) * N_LEAPFROGS  # draws of z, per example


class Upper(NamedTuple):
    """
    An upper bound on log p(x), per example, in nats.

    Attributes:
        bound: Mean over the chains of -log 1/S sum_s q(z_s|x) / p(x, z_s). It is a
            bound only if the chains have converged.
        r_hat: Split R-hat of the chains; above 1.01 they have not converged, (N,).
        acceptance: Mean probability of acceptance, (N,).
    """

    bound: Estimate
    r_hat: Tensor
    acceptance: Tensor


@torch.no_grad()
def upper_bound(
    vae: VAE, x: Tensor, explored: Sequence[Explored], *, seed: int, first: int = 0
) -> Upper:
    """
    Return an upper bound from what the estimate of log p(x) found in each example.

    The chains begin at draws that are resampled by their weights, and move in units of
    the Gaussian around the main mode. The q of the bound is the mixture of all modes.

    Args:
        x: Data in the likelihood's support, (N, D).
        explored: The result of `explore` for x.
        first: Position of the first row in its data, as in `explore`.
    """
    modes = [one.modes for one in explored]
    main = [found.main for found in modes]
    near = [
        _resample(one, seed=seed, position=first + i) for i, one in enumerate(explored)
    ]
    chains = sample_posterior(
        vae,
        x,
        q_z=FullGaussian(
            torch.cat([q.mu for q in main]), torch.cat([q.scale_tril for q in main])
        ),
        n_chains=N_CHAINS,
        n_samples=N_DRAWS,
        n_warmup=N_WARMUP,
        seed=seed,
        near=torch.stack(near, dim=1),
        first=first,
    )
    log_reciprocal = _log_prob(modes, chains.z) - chains.log_joint  # (S, C, N)
    replicates = math.log(N_DRAWS) - torch.logsumexp(log_reciprocal, dim=0)
    rounded = _rounding(vae, x, explored)
    return Upper(
        bound=Estimate.mean(replicates.T).plus(rounded),
        r_hat=chains.r_hat,
        acceptance=chains.acceptance,
    )


def _log_prob(modes: Sequence[Modes], z: Tensor) -> Tensor:
    """Return the log density of each example's modes at z, (S, C, N, J), (S, C, N)."""
    found = [
        one.log_prob(z[:, :, i].flatten(0, 1)).reshape(z.shape[:2])
        for i, one in enumerate(modes)
    ]
    return torch.stack(found, dim=2)


def _rounding(vae: VAE, x: Tensor, explored: Sequence[Explored]) -> Estimate:
    """Return the effect of the decoder's rounding on log p(x), with its error."""
    exact = wide_decoder(vae)
    rows = [
        rounding(Example(vae, one), exact, found.z, found.log_weights)
        for one, found in zip(torch.split(x, 1), explored, strict=True)
    ]
    value, error = explored[0].z.new_tensor(rows).T
    return Estimate(value, error)


def _resample(explored: Explored, *, seed: int, position: int) -> Tensor:
    """Choose a draw for each chain, by the weights, in strata, (C, J)."""
    at = torch.tensor([position], device=explored.z.device)
    noise = RowNoise.at(at, seed=seed, stream=Stream.MARKOV_CHAIN, part=RESAMPLING)
    strata = torch.arange(N_CHAINS, device=at.device)
    share = torch.softmax(explored.log_weights, dim=0).cumsum(dim=0)
    aim = (strata + noise.uniform(N_CHAINS)[0]) / N_CHAINS * share[-1]
    index = torch.searchsorted(share, aim, right=True).clamp(max=len(share) - 1)
    return explored.z[index]
