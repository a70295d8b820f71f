"""
What the analyses and the paths return: frozen, under the names of the contract.

N examples, J latent dimensions, `data_shape` the shape of one example. Arrays that are
said to be (N,) have one value per example; log densities, bounds and gaps are in nats,
in float64 where the service computes them so. `X_standard_error` is that of `X`.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from client.results import Array

Column = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class Analysis:
    """
    What every analysis says beside its figures; abstract.

    Attributes:
        seed: Of all that was drawn.
        binarize: How x was made binary, if it was.
        units: Of log densities, bounds and gaps: nats.
    """

    seed: int
    binarize: str | None
    units: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence(Analysis):
    """
    An importance-weighted bound on log p(x) (Burda et al. 2016), (N,); abstract.

    Attributes:
        log_p_x: In expectation at most log p(x), and nearer the larger K.
        n_samples: K of each example.
        pareto_k: How heavy the tail of the weights is; NaN where it has no measure.
        is_reliable: Whether that is low enough to trust log_p_x and its error.
    """

    log_p_x: Column
    log_p_x_standard_error: Column
    n_samples: Counts
    pareto_k: Column
    is_reliable: Flags


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Loglik(Evidence):
    """
    log p(x) of each example, (N,), and how far it can be trusted.

    Attributes:
        log_p_x_pooled: From all 32 K draws at once, nearer to log p(x).
        effective_sample_size: How many of them count.
        upper: A bound from above, if it was asked for; else it and the rest are None.
        r_hat: Of its Markov chains; above 1.01 they have not converged.
        acceptance: Their mean probability of moving.
    """

    log_p_x_pooled: Column
    effective_sample_size: Column
    upper: Column | None
    upper_standard_error: Column | None
    r_hat: Column | None
    acceptance: Column | None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Gap(Evidence):
    """
    log p(x) - ELBO of each example, (N,), in its two parts (Cremer et al. 2018).

    Attributes:
        elbo_before: With the encoder's q(z|x).
        elbo_after: With the best diagonal Gaussian, found for each example alone.
        approximation_gap: `log_p_x` - `elbo_after`: what the family of q costs.
        amortization_gap: `elbo_after` - `elbo_before`: what sharing phi costs.
        total_gap: Their sum, KL(q(z|x) || p(z|x)).
        converged: Whether the best q was found.
    """

    elbo_before: Column
    elbo_before_standard_error: Column
    elbo_after: Column
    elbo_after_standard_error: Column
    approximation_gap: Column
    approximation_gap_standard_error: Column
    amortization_gap: Column
    amortization_gap_standard_error: Column
    total_gap: Column
    total_gap_standard_error: Column
    converged: Flags


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Refinement(Analysis):
    """
    q(z|x) optimised for each example alone, and what that gained, (N,).

    Attributes:
        mu: Of the refined q(z|x), (N, J).
        log_var: Its log sigma^2, (N, J).
        elbo_before: With the encoder's q(z|x).
        elbo_after: With the refined one.
        improvement: After less before, from the same draws.
        n_steps: Of L-BFGS.
        converged: Whether less than 1e-4 nats were left to gain.
    """

    mu: Column
    log_var: Column
    elbo_before: Column
    elbo_before_standard_error: Column
    elbo_after: Column
    elbo_after_standard_error: Column
    improvement: Column
    improvement_standard_error: Column
    n_steps: Counts
    converged: Flags


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Posterior(Analysis):
    """
    p(z|x) of each example by quadrature, on a grid of G values per axis; J <= 2.

    Attributes:
        log_p_x: (N,), with its error of quadrature, `log_p_x_error`.
        kl: KL(q(z|x) || p(z|x)), (N,), with `kl_error`.
        converged: Whether `log_p_x_error` is at most 1e-6, (N,).
        mean: E[z|x], (N, J).
        covariance: Cov[z|x], (N, J, J).
        axes: The grid's values of each z_j, (N, J, G).
        log_posterior: log p(z|x) on it, (N, G) or (N, G, G), z_1 first.
        log_q: log q(z|x), likewise.
    """

    log_p_x: Column
    log_p_x_error: Column
    kl: Column
    kl_error: Column
    converged: Flags
    mean: Column
    covariance: Column
    axes: Column
    log_posterior: Column
    log_q: Column


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Anomaly(Analysis):
    """
    How each example ranks among rows held out of training.

    Attributes:
        negative_elbo: The score, (N,).
        p_value_upper: Small where the example is less likely than those rows, (N,).
        p_value_lower: Small where it is suspiciously likely, (N,).
        p_value_two_sided: Small where it is either, (N,).
        surprise_per_dim: E_q[-log p(x_d|z)], (N, *data_shape).
        n_samples: K, the draws of z per example.
        n_calibration: How many held-out rows there are.
        split: What they were held out as.
        binarization: How they were made binary.
    """

    negative_elbo: Column
    p_value_upper: Column
    p_value_lower: Column
    p_value_two_sided: Column
    surprise_per_dim: Array
    n_samples: int
    n_calibration: int
    split: str
    binarization: str


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Imputation(Analysis):
    """
    What is missing in x given x_o, what is known of it, which is given back.

    Attributes:
        mean: E[x | x_o], (N, *data_shape).
        variance: Var[x | x_o], 0 where x is known, (N, *data_shape).
        samples: S draws of x given x_o, (N, S, *data_shape).
        effective_sample_size: Of the draws of z, how many count, (N,).
        log_p_observed: log p(x_o), in expectation at most that, (N,).
        n_draws: K, how many draws of z they rest on.
    """

    mean: Array
    variance: Array
    samples: Array
    effective_sample_size: Column
    log_p_observed: Column
    n_draws: int


@final
@dataclass(frozen=True, eq=False)
class Interpolation:
    """Points `z` of a path, (n, J), and their E[x|z], `mean`, (n, *data_shape)."""

    z: Array
    mean: Array
    path: str


@final
@dataclass(frozen=True, eq=False)
class Traversal:
    """
    What each latent dimension changes, the others held.

    Attributes:
        z: The points, (len(dims), n, J).
        mean: E[x|z] of each, (len(dims), n, *data_shape).
        dims: The dimensions, the first is 0.
        levels: Probabilities of which the values are quantiles, (n,).
        scale: Of what they are quantiles: prior or aggregate.
    """

    z: Array
    mean: Array
    dims: Counts
    levels: Column
    scale: str


@final
@dataclass(frozen=True, eq=False)
class HeldOutElbo:
    """
    The ELBO of rows held out of training, in nats.

    Attributes:
        quantiles: At 0, 1, ..., 100 percent, (101,).
        n: Of how many rows.
        split: What they were held out as.
        binarization: How they were made binary.
        n_samples: K, the draws of z per row.
    """

    quantiles: Column
    n: int
    split: str
    binarization: str
    n_samples: int | None


@final
@dataclass(frozen=True, eq=False)
class Examples:
    """
    Rows held out of training, to look at.

    Attributes:
        x: As the model is given them, (n, *data_shape), n <= 64; 0 if there are none.
        labels: Their classes, (n,), where they have any.
        elbo: How such rows score, where that is known.
    """

    x: Array
    labels: Counts | None
    elbo: HeldOutElbo | None
