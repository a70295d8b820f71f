"""A Monte Carlo estimate and its standard error."""

from typing import NamedTuple, Self

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """
    A mean of independent replicates, per example.

    Attributes:
        value: In nats, (N,).
        standard_error: Of `value` around its own expectation, in nats, (N,). It does
            not include the bias of that expectation.
    """

    value: Tensor
    standard_error: Tensor

    @classmethod
    def mean(cls, replicates: Tensor) -> Self:
        """
        Average independent replicates of the same quantity, (N, R).

        Raises:
            ValueError: There are fewer than two, too few for a standard error.
        """
        n = replicates.shape[1]
        if n < 2:
            raise ValueError(f"a standard error needs at least 2 replicates, got {n}")
        return cls(replicates.mean(dim=1), replicates.std(dim=1) / n**0.5)

    def minus(self, other: "Estimate") -> "Estimate":
        """Subtract an independent estimate."""
        return self.plus(other._replace(value=-other.value))

    def plus(self, other: "Estimate") -> "Estimate":
        """Add an independent estimate."""
        return Estimate(
            self.value + other.value,
            (self.standard_error.square() + other.standard_error.square()).sqrt(),
        )


def widen(error: Tensor, freedom: Tensor) -> Tensor:
    """
    Return a standard error times t / z, the 97.5 % quantiles, for a small freedom.

    So that twice the error has the usual coverage where few draws determine it. The
    expansion of t / z in 1 / freedom ends after the second term.
    """
    inverse = 1 / freedom.clamp(min=1)
    factor = 1 + 1.210 * inverse + 1.442 * inverse.square()
    return torch.where(error > 0, error * factor, error)
