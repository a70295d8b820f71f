"""What goes into the engine and what comes out: float32 arrays, row by row."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Encoding(NamedTuple):
    """q(z|x): mu and log_var, (N, J)."""

    mu: Array
    log_var: Array


class Decoding(NamedTuple):
    """p(x|z): mean, (N, D), and log_var, (N, D), where the likelihood has one."""

    mean: Array
    log_var: Array | None = None


class Scores(NamedTuple):
    """log p(x|z) of each draw, (N, K), and KL per dimension, (N, J), in nats."""

    log_likelihood: Array
    kl_per_dim: Array
