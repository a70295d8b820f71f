"""The effort of an estimate of log p(x): its target and its budget of draws."""

from typing import NamedTuple, Self

from model.inference.bounds import default_blocks


class Effort(NamedTuple):
    """
    How many draws of z an estimate of log p(x) may take, per example.

    Attributes:
        n_samples: K, to estimate the bound L_K of the encoder's q(z|x); None to
            estimate log p(x) itself.
        target: Standard error, in nats, at which sampling stops for an example.
        budget: The most draws.
    """

    n_samples: int | None
    target: float
    budget: int

    @classmethod
    def fixed(cls, n_samples: int) -> Self:
        """Return the effort for L_K, estimated with several blocks of K draws."""
        return cls(n_samples, 0.0, n_samples * default_blocks(n_samples))

    @classmethod
    def adaptive(cls, *, target: float, budget: int) -> Self:
        """Return the effort for log p(x) with a standard error up to the target."""
        return cls(None, target, budget)
