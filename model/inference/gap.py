"""
What separates the encoder's ELBO from log p(x): the two gaps of Cremer et al. (2018).

log p(x) - ELBO(q) = [log p(x) - ELBO(q*)] + [ELBO(q*) - ELBO(q)], where q is the
encoder's and q* the best diagonal Gaussian: the approximation gap, which the family of
q costs, and the amortisation gap, which sharing phi between examples costs.
"""

from typing import NamedTuple

from torch import Tensor

from model.inference.bounds import ImportanceWeighted
from model.inference.estimate import Estimate
from model.inference.evidence import log_evidence
from model.inference.refinement import Refinement, refine
from model.vae import VAE


class Gap(NamedTuple):
    """
    The parts of log p(x) - ELBO, per example, in nats.

    The approximation gap is long by what the local search missed of q*; the
    amortization gap is short by that.

    Attributes:
        log_p_x: log p(x), with its diagnostics.
        refinement: q* with its ELBO and the encoder's.
        approximation: log p(x) - ELBO(q*).
        amortization: ELBO(q*) - ELBO(q), from the same noise.
        total: log p(x) - ELBO(q) = KL(q(z|x) || p(z|x)).
    """

    log_p_x: ImportanceWeighted
    refinement: Refinement
    approximation: Estimate
    amortization: Estimate
    total: Estimate


def gap(
    vae: VAE, x: Tensor, *, target: float, budget: int, seed: int, first: int = 0
) -> Gap:
    """
    Measure both gaps of each example of x, (N, D).

    Args:
        target: Standard error of log p(x) at which an example is done, in nats.
        budget: The most draws of z for log p(x), per example.
        first: Position of the first row in its data, as in `log_evidence`.
    """
    refinement = refine(vae, x, seed=seed, first=first)
    evidence = log_evidence(
        vae, x, target=target, budget=budget, seed=seed, first=first
    )
    return Gap(
        log_p_x=evidence,
        refinement=refinement,
        approximation=evidence.bound.minus(refinement.after),
        amortization=refinement.improvement,
        total=evidence.bound.minus(refinement.before),
    )
