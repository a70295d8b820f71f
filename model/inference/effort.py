"""How much an estimate of log p(x) may cost."""

from typing import NamedTuple, Self

from model.inference.bounds import default_blocks
from model.inference.evidence import MIN_BUDGET

__all__ = ["MIN_BUDGET", "Effort"]


class Effort(NamedTuple):
    """
    How many draws of z an estimate of log p(x) may take, per example.

    Attributes:
        n_samples: K, where the bound L_K of the encoder's q(z|x) is meant; None where
            log p(x) itself is.
        target: Standard error at which an example is done, in nats.
        budget: The most draws.
    """

    n_samples: int | None
    target: float
    budget: int

    @classmethod
    def fixed(cls, n_samples: int) -> Self:
        """Ask for L_K, measured with some blocks of K draws."""
        return cls(n_samples, 0.0, n_samples * default_blocks(n_samples))

    @classmethod
    def adaptive(cls, *, target: float, budget: int) -> Self:
        """Ask for log p(x) with a standard error of at most the target."""
        return cls(None, target, budget)
