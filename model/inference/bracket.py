"""
Bounds on log p(x) from both sides, which limit its bias and not only its variance.

The upper bound is reverse importance sampling: for z from p(z|x), the mean of
q(z|x) / p(x, z) is 1 / p(x) (AEVB App. D). By Jensen's inequality, minus its logarithm
is too high in expectation, just as the importance-weighted bound is too low (Grosse et
al. 2015, *Sandwiching the marginal likelihood using bidirectional Monte Carlo*).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.distributions import DiagonalGaussian
from model.inference.bounds import ImportanceWeighted
from model.inference.estimate import Estimate
from model.inference.evidence import log_evidence
from model.inference.hmc import sample_posterior
from model.inference.refinement import refine
from model.noise import data_noise
from model.prior import drawn
from model.vae import VAE


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
    return Simulated(vae.decode(z).sample(torch.from_numpy(u).to(x_like)), z)


@torch.no_grad()
def upper_bound(
    vae: VAE,
    x: Tensor,
    *,
    q_z: DiagonalGaussian,
    seed: int,
    start: Tensor | None = None,
    n_chains: int = 16,
    n_samples: int = 200,
    n_warmup: int = 100,
    first: int = 0,
) -> Upper:
    """
    Estimate an upper bound on log p(x) from chains in p(z|x), in nats.

    Args:
        x: Data in the likelihood's support, (N, D).
        q_z: A q(z|x) with lighter tails than p(z|x), such as a refined one; float64.
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
        start=start,
        first=first,
    )
    log_reciprocal = q_z.log_prob(chains.z) - chains.log_joint  # (S, C, N)
    replicates = math.log(n_samples) - torch.logsumexp(log_reciprocal, dim=0)
    return Upper(
        bound=Estimate.mean(replicates.T),
        is_exact=start is not None,
        r_hat=chains.r_hat,
        acceptance=chains.acceptance,
    )


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
    q_z = refine(vae, x, seed=seed, first=first).q_z
    lower = log_evidence(vae, x, target=target, budget=budget, seed=seed, first=first)
    upper = upper_bound(vae, x, q_z=q_z, seed=seed, start=start, first=first)
    return Bracket(lower, upper)
