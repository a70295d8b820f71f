"""Normal distributions, independent of the models and without scipy's second."""

import math
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.distributions import MultivariateNormal

Values = NDArray[np.float64]


def cdf(x: Values) -> Values:
    """Return Phi(x) = erfc(-x / sqrt 2) / 2."""
    found: Values = torch.erfc(torch.from_numpy(-x / math.sqrt(2))).numpy() / 2
    return found


def quantiles(levels: ArrayLike) -> Values:
    """Return the inverse of Phi at levels of any shape."""
    found: Values = np.vectorize(NormalDist().inv_cdf)(levels)
    return found


def log_density(x: Values, mean: Values, covariance: Values) -> Values:
    """Return log N(x; mean, covariance) in nats for x, (..., D)."""
    law = MultivariateNormal(torch.from_numpy(mean), torch.from_numpy(covariance))
    log_p = law.log_prob(torch.from_numpy(x))  # type: ignore[no-untyped-call]
    found: Values = log_p.numpy()
    return found
