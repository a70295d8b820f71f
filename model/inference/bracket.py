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

from model.inference.bounds import ImportanceWeighted
from model.inference.estimate import Estimate
from model.inference.evidence import Explored, assembled, explore
from model.inference.example import Example
from model.inference.fitting import Modes
from model.inference.hmc import N_LEAPFROGS, RESAMPLING, sample_posterior
from model.inference.importance import rounding, wide_decoder
from model.inference.proposals import FullGaussian, Gaussian
from model.noise import Stream, data_noise
from model.prior import drawn
from model.row_noise import RowNoise
from model.vae import VAE

N_CHAINS, N_DRAWS, N_WARMUP = 20, 110, 12
N_DECODED = N_CHAINS * (N_DRAWS + N_WARMUP) * N_LEAPFROGS  # draws of z, per example


class Simulated(NamedTuple):
    """Pairs from the model, z ~ p(z), (N, J), and x ~ p(x|z), (N, D)."""

    x: Tensor
    z: Tensor


class Upper(NamedTuple):
    """
    An upper bound on log p(x), per example, in nats.

    Attributes:
        bound: Mean over the chains of -log 1/S sum_s q(z_s|x) / p(x, z_s). Chains of
            an example that start at the same exact draw are dependent, so their
            standard error is too small: compute it between examples.
        is_exact: Whether the chains began at exact draws from p(z|x), so that the
            expectation over pairs of x and z is above that of log p(x). If not, the
            bound holds only if the chains have converged.
        r_hat: Split R-hat of the chains; above 1.01 they have not converged, (N,).
        acceptance: Mean probability of acceptance, (N,).
    """

    bound: Estimate
    is_exact: bool
    r_hat: Tensor
    acceptance: Tensor


class Bracket(NamedTuple):
    """An estimate of log p(x) that is too low in expectation, and an upper bound."""

    lower: ImportanceWeighted
    upper: Upper


@torch.no_grad()
def simulate(vae: VAE, x_like: Tensor, n: int, *, seed: int) -> Simulated:
    """
    Draw pairs whose z is an exact draw from p(z|x), with the noise of `/sample`.

    Args:
        x_like: A tensor with the dtype and device for x.
    """
    config = vae.config
    z = torch.from_numpy(drawn(vae.p_z, n, seed=seed)).to(x_like)
    u = data_noise(vae.likelihood.noise, (n, config.data_dim), seed=seed)
    x = vae.decode(z).sample(torch.from_numpy(u).to(x_like))
    if vae.marginals is not None:
        x = torch.from_numpy(vae.in_model_units(x.cpu().numpy())).to(x_like)
    return Simulated(x, z)


@torch.no_grad()
def upper_bound(
    vae: VAE,
    x: Tensor,
    *,
    q_z: Gaussian,
    seed: int,
    modes: Sequence[Modes] | None = None,
    near: Tensor | None = None,
    start: Tensor | None = None,
    n_chains: int = N_CHAINS,
    n_samples: int = N_DRAWS,
    n_warmup: int = N_WARMUP,
    first: int = 0,
) -> Upper:
    """
    Estimate an upper bound on log p(x) from chains in p(z|x), in nats.

    Args:
        x: Data in the likelihood's support, (N, D).
        q_z: A q(z|x) with lighter tails than p(z|x), such as a refined one; float64.
        modes: Gaussians for each example, to be used instead of q in the mean of
            q(z|x) / p(x, z); the chains still move in units of q.
        near: Approximate draws from p(z|x), where the warm-up begins, (C, N, J).
        start: Exact draws of z given x, (N, J), known only for `simulate`d x.
        n_chains: C, at least 2; each is one replicate.
        n_samples: S, draws per chain, at least 4; more draws give a lower bound.
        first: Position of the first row in its data, as in `sample_posterior`.

    Raises:
        ValueError: There are fewer than 2 chains, or fewer than 4 draws per chain.
    """
    if n_chains < 2 or n_samples < 4:
        raise ValueError(
            "expected at least 2 chains of at least 4 draws, "
            f"got {n_chains} of {n_samples}"
        )
    chains = sample_posterior(
        vae,
        x,
        q_z=q_z,
        n_chains=n_chains,
        n_samples=n_samples,
        n_warmup=n_warmup,
        seed=seed,
        near=near,
        start=start,
        first=first,
    )
    log_q = q_z.log_prob(chains.z) if modes is None else _log_prob(modes, chains.z)
    log_reciprocal = log_q - chains.log_joint  # (S, C, N)
    replicates = math.log(n_samples) - torch.logsumexp(log_reciprocal, dim=0)
    return Upper(
        bound=Estimate.mean(replicates.T),
        is_exact=start is not None,
        r_hat=chains.r_hat,
        acceptance=chains.acceptance,
    )


def upper_bound_from(
    vae: VAE,
    x: Tensor,
    explored: Sequence[Explored],
    *,
    seed: int,
    start: Tensor | None = None,
    first: int = 0,
) -> Upper:
    """
    Return the upper bound from what the estimate of log p(x) found in each example.

    The chains begin at draws that are resampled by their weights, and move in units of
    the Gaussian around the main mode. The q of the bound is the mixture of all modes.

    Args:
        x: Data in the likelihood's support, (N, D).
        explored: The result of `explore` for x.
        start: Exact draws of z given x, (N, J), if known.
        first: Position of the first row in its data, as in `explore`.
    """
    modes = [one.modes for one in explored]
    main = [found.main for found in modes]
    q_z = FullGaussian(
        torch.cat([q.mu for q in main]), torch.cat([q.scale_tril for q in main])
    )
    near = [
        _resampled(one, seed=seed, position=first + i) for i, one in enumerate(explored)
    ]
    found = upper_bound(
        vae,
        x,
        q_z=q_z,
        modes=modes,
        near=torch.stack(near, dim=1),
        seed=seed,
        start=start,
        first=first,
    )
    return found._replace(bound=found.bound.plus(_rounding(vae, x, explored)))


def bracket(
    vae: VAE,
    x: Tensor,
    *,
    target: float,
    budget: int,
    seed: int,
    start: Tensor | None = None,
    first: int = 0,
) -> Bracket:
    """
    Estimate log p(x) of each example of x, (N, D), and bound it from above.

    Args:
        target: Standard error, in nats, at which sampling stops for an example.
        budget: The most draws of z for the estimate, per example.
        start: Exact draws of z given x, (N, J), if known.
        first: Position of the first row in its data, as in `log_evidence`.
    """
    found = explore(vae, x, target=target, budget=budget, seed=seed, first=first)
    upper = upper_bound_from(vae, x, found, seed=seed, start=start, first=first)
    return Bracket(assembled(found, x), upper)


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
    return Estimate(value, error, N_CHAINS)


def _resampled(explored: Explored, *, seed: int, position: int) -> Tensor:
    """Choose a draw for each chain, by the weights, in strata, (C, J)."""
    at = torch.tensor([position], device=explored.z.device)
    noise = RowNoise.at(at, seed=seed, stream=Stream.MARKOV_CHAIN, part=RESAMPLING)
    strata = torch.arange(N_CHAINS, device=at.device)
    share = torch.softmax(explored.log_weights, dim=0).cumsum(dim=0)
    aim = (strata + noise.uniform(N_CHAINS)[0]) / N_CHAINS * share[-1]
    index = torch.searchsorted(share, aim, right=True).clamp(max=len(share) - 1)
    return explored.z[index]
