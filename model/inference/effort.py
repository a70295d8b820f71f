"""How much an estimate of log p(x) may cost, and what its draws come from."""

from typing import NamedTuple, Self

from model.distributions import DiagonalGaussian
from model.inference.bounds import N_BLOCKS
from model.inference.proposals import Defensive, Proposal
from model.vae import VAE

FIRST_SAMPLES = 8
MIN_BUDGET = FIRST_SAMPLES * N_BLOCKS


class Effort(NamedTuple):
    """
    How many draws of z an estimate of log p(x) may take, per example.

    Attributes:
        n_samples: K to begin with.
        target: Standard error at which an example is done, in nats.
        budget: The most draws, K times the number of blocks.
        is_defensive: Whether draws come from the mixture around q, not from q alone.
    """

    n_samples: int
    target: float
    budget: int
    is_defensive: bool

    @classmethod
    def fixed(cls, n_samples: int) -> Self:
        """Take K draws for each of the blocks, and no more."""
        return cls(n_samples, 0.0, n_samples * N_BLOCKS, is_defensive=False)

    @classmethod
    def adaptive(cls, *, target: float, budget: int) -> Self:
        """Double K until the standard error is at most the target."""
        return cls(FIRST_SAMPLES, target, budget, is_defensive=True)

    def proposal(self, vae: VAE, q_z: DiagonalGaussian) -> Proposal:
        """
        Return what draws come from: q(z|x), or the mixture around it.

        L_K is a bound of q's own (Burda et al. 2016), so a K that is asked for is of
        draws of q alone; who asks for log p(x) to some error gets the safer mixture.
        """
        return Defensive.around(q_z, vae) if self.is_defensive else q_z
