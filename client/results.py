"""
What the calls return: frozen, arrays in float32 under the names of the contract.

N examples, J latent dimensions, `data_shape` the shape of one example, K draws of z per
example.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Binarize = Literal["threshold", "sample"]
Draw = Literal["mean", "sample"]
Path = Literal["straight", "great_circle"]
Scale = Literal["prior", "aggregate"]


@final
@dataclass(frozen=True, eq=False)
class Encoding:
    """q(z|x), a diagonal Gaussian per example: `mu` and `log_var`, (N, J)."""

    mu: Array
    log_var: Array


@final
@dataclass(frozen=True, eq=False)
class Decoding:
    """
    The parameters of p(x|z), (N, *data_shape).

    Attributes:
        log_var: log sigma^2, where the likelihood has one, else None.
        likelihood: Its family: bernoulli, continuous_bernoulli or gaussian.
    """

    mean: Array
    log_var: Array | None
    likelihood: str


@final
@dataclass(frozen=True, eq=False)
class Sample:
    """Draws `x`, (n, *data_shape), the latents `z`, (n, J), and the seed of both."""

    x: Array
    z: Array
    seed: int


@final
@dataclass(frozen=True, eq=False)
class Elbo:
    """
    A lower bound on log p(x) per example, (N,), and its terms.

    Attributes:
        elbo: `log_likelihood` - `kl`.
        log_likelihood: The mean of log p(x|z) over K draws of z.
        kl: KL(q(z|x) || p(z)), in closed form under a standard normal prior; under a
            learned one estimated with the same draws, and so perhaps below 0.
        kl_per_dim: Its terms, (N, J), which only a standard normal prior has, else
            None.
        n_samples: K.
        binarize: How x was made binary, if it was.
        units: Of all of them: nats.
    """

    elbo: Array
    log_likelihood: Array
    kl: Array
    kl_per_dim: Array | None
    n_samples: int
    seed: int
    binarize: str | None
    units: str


@final
@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    max_body_bytes: int
    max_rows: int
    max_n_samples: int
    max_output_values: int
    max_work: int
    max_analysis_rows: int
    max_draws: int
    max_analysis_work: int


@final
@dataclass(frozen=True)
class Likelihood:
    """The family of p(x|z), the values it is for, and their range where it ends."""

    kind: str
    support: str
    value_range: tuple[float, float] | None


@final
@dataclass(frozen=True)
class Model:
    """
    What is served.

    Attributes:
        version: The start of `sha256`, which is that of the checkpoint's manifest.
        document: All that `GET /model` says: figures, compute, provenance, ...
    """

    name: str
    version: str
    sha256: str
    data_shape: tuple[int, ...]
    latent_dim: int
    likelihood: Likelihood
    units: str
    limits: Limits
    document: Mapping[str, Any] = field(repr=False, compare=False)
