"""Compare a VAE with simple models of the same rows, row by row."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from model.checkpoint.held_out import evenly
from model.data.blocks import blocks
from model.data.preparation import Array, Prepared
from model.distributions import Likelihood
from model.tables.schema import LOG_SHARE, PLANES
from model.train.baselines import LinearGaussian, Matrix, best_start, fit_baselines

_SMOOTHING = 0.5  # added to the counts of 0 and 1
_MIN_ROWS, _MAX_VALUES = 1000, 1 << 24  # of the validation rows that select a law

# Maps rows in the model's units, (N, D), to log p(x) in the data's, in nats, (N,).
LogDensity = Callable[[Array], Matrix]


class Difference(NamedTuple):
    """
    How much higher the ELBO is than log p(x) of a baseline, in nats per row.

    Attributes:
        log_p_x: Of the baseline; mean over the rows.
    """

    baseline: str
    mean: float
    standard_error: float
    log_p_x: float

    @property
    def named(self) -> str:
        """The baseline in a sentence."""
        return self.baseline.replace("full", "a full", 1)

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        size = f"{abs(self.mean):.2f} ± {self.standard_error:.2f} nats"
        way = "above" if self.mean >= 0 else "below"
        return f"The ELBO is {size} {way} log p(x) of {self.named}"

    @property
    def is_worse(self) -> bool:
        """Whether the VAE is worse by more than two standard errors."""
        return self.mean + 2 * self.standard_error < 0


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """
    Simple models that were fitted to the training rows.

    Attributes:
        independent: Each value of x by itself; below it a model has learned nothing.
        baselines: What a VAE has to beat, by name; empty where there is nothing better
            than independent values to compare with.
        laws: Linear models in the network's units that training may start from.
    """

    independent: LogDensity
    baselines: Mapping[str, LogDensity]
    laws: tuple[LinearGaussian, ...]
    validation: Matrix

    def start(self, *, max_factors: int) -> LinearGaussian:
        """Return the law that is best on validation, with so many factors or fewer."""
        return best_start(self.laws, self.validation, max_factors=max_factors)

    def differences(
        self, x: Array, elbo: NDArray[np.float64]
    ) -> tuple[Difference, ...]:
        """Compare the ELBO of rows, (N,), with each baseline's log p(x)."""
        named = self.baselines or {"independent values": self.independent}
        found = []
        for name, log_density in named.items():
            log_p_x = log_density(x)
            difference = elbo - log_p_x
            n = len(difference)
            error = float(difference.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
            mean = float(difference.mean())
            found.append(Difference(name, mean, error, float(log_p_x.mean())))
        return tuple(found)


def compare_gaussian(
    prepared: Prepared, *, log_jacobian: float, floor: float, max_factors: int
) -> Comparison:
    """
    Fit a full Gaussian and factor analysis, for a density on R^D.

    Args:
        log_jacobian: What log p(x) is larger by than in the model's units.
    """
    train, validation = prepared.train, _sample(prepared.validation)
    fitted = fit_baselines(train, validation, floor=floor, max_factors=max_factors)
    mean = train.mean(axis=0, dtype=np.float64)
    squares = sum(np.square(train[rows] - mean).sum(axis=0) for rows in blocks(train))
    variance = np.maximum(squares / len(train), floor**2)
    independent = LinearGaussian(
        "independent values", mean, np.zeros((len(mean), 1)), variance
    )

    def density(law: LinearGaussian) -> LogDensity:
        return by_blocks(lambda u: law.log_prob(u.astype(np.float64)) + log_jacobian)

    return Comparison(
        independent=density(independent),
        baselines={law.name: density(law) for law in fitted.all},
        laws=fitted.starts,
        validation=validation,
    )


def compare_binary(prepared: Prepared) -> Comparison:
    """Fit the probability of a 1 to each value; Gaussians are no law of bits."""
    n = len(prepared.train)
    total = prepared.train.sum(axis=0, dtype=np.float64)
    p = (total + _SMOOTHING) / (n + 2 * _SMOOTHING)

    def log_density(x: Array) -> Matrix:
        found: Matrix = x @ np.log(p) + (1 - x) @ np.log1p(-p)
        return found

    return Comparison(
        independent=by_blocks(log_density),
        baselines={},
        laws=(),
        validation=_sample(prepared.validation),
    )


def compare_table(prepared: Prepared) -> Comparison:
    """Take the marginals of the columns, which the rows have with them."""

    def log_share(x: Array) -> Matrix:
        planes = x.reshape(len(x), PLANES, -1)
        found: Matrix = planes[:, LOG_SHARE].sum(axis=1, dtype=np.float64)
        return found

    return Comparison(
        independent=by_blocks(log_share),
        baselines={"the marginals": by_blocks(log_share)},
        laws=(),
        validation=_sample(prepared.validation),
    )


def by_blocks(log_density: LogDensity) -> LogDensity:
    """Return a function that takes many rows block by block, to save memory."""
    return lambda x: np.concatenate([log_density(x[rows]) for rows in blocks(x)])


def _sample(x: Array) -> Matrix:
    """Return evenly spaced rows in float64, all if they are few."""
    most = max(_MIN_ROWS, _MAX_VALUES // x.shape[1])
    return x[evenly(len(x), most)].astype(np.float64)


def compare(
    prepared: Prepared, likelihood: type[Likelihood], *, floor: float, max_factors: int
) -> Comparison:
    """Fit what is comparable with the likelihood."""
    if prepared.marginals is not None:
        return compare_table(prepared)
    if likelihood.kind == "bernoulli":
        return compare_binary(prepared)
    units = prepared.units if likelihood.value_range is None else None
    return compare_gaussian(
        prepared,
        log_jacobian=0.0 if units is None else units.log_jacobian,
        floor=floor,
        max_factors=max_factors,
    )
