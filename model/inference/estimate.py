"""A Monte Carlo estimate and its standard error."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

_Z_975 = 1.959963984540054


class Estimate(NamedTuple):
    """
    A mean of independent replicates, per example.

    Attributes:
        value: In nats, (N,).
        standard_error: Of `value` around its own expectation, in nats, (N,). It does
            not include the bias of that expectation.
        n_replicates: The number of independent values that were averaged.
    """

    value: Tensor
    standard_error: Tensor
    n_replicates: int

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
        return cls(replicates.mean(dim=1), replicates.std(dim=1) / n**0.5, n)

    @property
    def interval(self) -> tuple[Tensor, Tensor]:
        """The ends of the 95 % confidence interval by Student's t, each (N,)."""
        half = student_t_975(self.n_replicates - 1) * self.standard_error
        return self.value - half, self.value + half

    def minus(self, other: "Estimate") -> "Estimate":
        """Subtract an independent estimate; keep the fewer degrees of freedom."""
        return self.plus(other._replace(value=-other.value))

    def plus(self, other: "Estimate") -> "Estimate":
        """Add an independent estimate; keep the fewer degrees of freedom."""
        return Estimate(
            self.value + other.value,
            (self.standard_error.square() + other.standard_error.square()).sqrt(),
            min(self.n_replicates, other.n_replicates),
        )


def widened(error: Tensor, freedom: Tensor) -> Tensor:
    """
    Return a standard error times t / z, the 97.5 % quantiles, for a small freedom.

    So that twice the error has the usual coverage where few draws determine it. The
    expansion of t / z in 1 / freedom ends after the second term.
    """
    inverse = 1 / freedom.clamp(min=1)
    factor = 1 + 1.210 * inverse + 1.442 * inverse.square()
    return torch.where(error > 0, error * factor, error)


def student_t_975(freedom: int) -> float:
    """
    Return the 97.5 % quantile of Student's t, to 1e-3 from 7 degrees of freedom on.

    The expansion in 1 / freedom of Abramowitz & Stegun (1964), 26.7.5.
    """
    z = _Z_975
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum(term / float(freedom) ** power for power, term in enumerate(terms))
