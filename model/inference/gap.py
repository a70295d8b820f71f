"""
The two gaps between the encoder's ELBO and log p(x) (Cremer et al. 2018).

log p(x) - ELBO(q) = [log p(x) - ELBO(q*)] + [ELBO(q*) - ELBO(q)], where q is the
encoder's and q* the best diagonal Gaussian. The first term is the approximation gap,
the cost of the family of q; the second is the amortization gap, the cost of sharing phi
between examples.
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
    The terms of log p(x) - ELBO, per example, in nats.

    If the local optimization ends below q*, the approximation gap is too large and the
    amortization gap too small by the same amount.

    Attributes:
        log_p_x: log p(x), with its diagnostics.
        refinement: q*, its ELBO, and the ELBO of the encoder's q.
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
        target: Standard error of log p(x), in nats, at which sampling stops.
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
