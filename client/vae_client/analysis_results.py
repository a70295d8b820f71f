"""
The results of the analyses: frozen, with the names of the HTTP interface.

N is the number of examples, J that of latent dimensions, `data_shape` the shape of one
example. Arrays of shape (N,) have one value per example; log densities, bounds and gaps
are in nats. `X_standard_error` is the standard error of `X`.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from vae_client.arrays import BoolArray, DataArray, Float64Array, Int64Array


@dataclass(frozen=True, eq=False, kw_only=True)
class AnalysisResult:
    """
    What the results of all analyses have; abstract.

    Attributes:
        seed: The seed of all random numbers.
        binarize: How x was made binary, or None if it was not.
        units: The units of log densities, bounds and gaps: nats.
    """

    seed: int
    binarize: str | None
    units: str


@dataclass(frozen=True, eq=False, kw_only=True)
class EvidenceResult(AnalysisResult):
    """
    log p(x) by importance sampling, or a bound on it, (N,); abstract.

    Attributes:
        log_p_x: The estimate; with `n_samples` the bound of K draws.
        n_samples: Draws of z of each example; K.
        pareto_k: Pareto k-hat of the weights: the larger, the heavier their tail; NaN
            where they are constant.
        is_reliable: Whether log_p_x and its standard error can be trusted; None with
            `n_samples`, where log_p_x is only a bound.
    """

    log_p_x: Float64Array
    log_p_x_standard_error: Float64Array
    n_samples: Int64Array
    pareto_k: Float64Array
    is_reliable: BoolArray | None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class LoglikResult(EvidenceResult):
    """
    log p(x) of each example, (N,), and how far it can be trusted.

    Attributes:
        log_p_x_pooled: The estimate from all draws at once.
        effective_sample_size: The effective number of these draws.
        upper: An upper bound, with `upper=True`; else this and the rest are None.
        r_hat: R-hat of its Markov chains; above 1.01 they have not converged.
        acceptance: Their mean acceptance probability.
    """

    log_p_x_pooled: Float64Array
    effective_sample_size: Float64Array
    upper: Float64Array | None
    upper_standard_error: Float64Array | None
    r_hat: Float64Array | None
    acceptance: Float64Array | None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class GapResult(EvidenceResult):
    """
    log p(x) - ELBO of each example, (N,), and its two parts (Cremer et al. 2018).

    Attributes:
        elbo_before: With the encoder's q(z|x).
        elbo_after: With the best diagonal Gaussian for each example.
        approximation_gap: `log_p_x` - `elbo_after`: the cost of the family of q.
        amortization_gap: `elbo_after` - `elbo_before`: the cost of sharing phi.
        total_gap: Their sum, KL(q(z|x) || p(z|x)).
        converged: Whether the best q was found.
    """

    elbo_before: Float64Array
    elbo_before_standard_error: Float64Array
    elbo_after: Float64Array
    elbo_after_standard_error: Float64Array
    approximation_gap: Float64Array
    approximation_gap_standard_error: Float64Array
    amortization_gap: Float64Array
    amortization_gap_standard_error: Float64Array
    total_gap: Float64Array
    total_gap_standard_error: Float64Array
    converged: BoolArray


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class RefineResult(AnalysisResult):
    """
    q(z|x) optimized for each example separately, and what that gained, (N,).

    Attributes:
        mu: The mean of the refined q(z|x), (N, J).
        log_var: Its log sigma^2, (N, J).
        elbo_before: With the encoder's q(z|x).
        elbo_after: With the refined q(z|x).
        improvement: `elbo_after` - `elbo_before`, from the same draws.
        n_steps: The number of L-BFGS steps.
        converged: Whether less than 1e-4 nats were left to gain.
    """

    mu: Float64Array
    log_var: Float64Array
    elbo_before: Float64Array
    elbo_before_standard_error: Float64Array
    elbo_after: Float64Array
    elbo_after_standard_error: Float64Array
    improvement: Float64Array
    improvement_standard_error: Float64Array
    n_steps: Int64Array
    converged: BoolArray


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class PosteriorResult(AnalysisResult):
    """
    p(z|x) of each example by quadrature, on a grid of G values per axis; J <= 2.

    Attributes:
        log_p_x: (N,), with its quadrature error `log_p_x_error`.
        kl: KL(q(z|x) || p(z|x)), (N,), with its quadrature error `kl_error`.
        converged: Whether `log_p_x_error` is at most 1e-6, (N,).
        mean: E[z|x], (N, J).
        covariance: Cov[z|x], (N, J, J).
        axes: The values of each z_j on the grid, (N, J, G).
        log_posterior: log p(z|x) on the grid, (N, G) or (N, G, G), z_1 first.
        log_q: log q(z|x) on the grid, of the same shape.
    """

    log_p_x: Float64Array
    log_p_x_error: Float64Array
    kl: Float64Array
    kl_error: Float64Array
    converged: BoolArray
    mean: Float64Array
    covariance: Float64Array
    axes: Float64Array
    log_posterior: Float64Array
    log_q: Float64Array


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class AnomalyResult(AnalysisResult):
    """
    The rank of each example among rows held out of training.

    Attributes:
        negative_elbo: The score, (N,).
        negative_elbo_standard_error: Its standard error, from the spread of the K
            draws, or None for K = 1.
        p_value_upper: Small if the example is less likely than those rows, (N,).
        p_value_lower: Small if it is more likely than those rows, (N,).
        p_value_two_sided: Small in both cases, (N,).
        surprise_per_dim: E_q[-log p(x_d|z)], (N, *data_shape).
        columns: The names of the values of `surprise_per_dim`, or None if they have
            none.
        n_samples: K, the draws of z per example.
        n_calibration: The number of held-out rows.
        split: The split that they are from.
        binarization: How they were made binary.
        ratio: Of a table, this and the rest, which else are None: -ELBO + sum_j log
            p(x_j) over the known cells, with p(x_j) their marginals, (N,).
        ratio_p_value: Small if the cells do not go together, (N,); None without
            held-out ratios, see `why_null`.
        tail_p_value: Small if a cell is far out in its column, (N,); None as before.
        p_value_either: Twice the smaller of these two, at most 1, (N,).
        tail_p_value_per_column: How far out each cell is, (N, D); NaN where missing.
        why_null: Why p-values of a table are None, if they are.
        blame: log p(x_j) - log p(x_j | x_-j), (N, D); NaN where missing.
        blame_standard_error: Its standard error, (N, D); NaN where missing.
        blame_order: Positions of columns, the one most to blame first, (N, D).
    """

    negative_elbo: Float64Array
    negative_elbo_standard_error: Float64Array | None
    p_value_upper: Float64Array
    p_value_lower: Float64Array
    p_value_two_sided: Float64Array
    surprise_per_dim: DataArray
    columns: tuple[str, ...] | None
    n_samples: int
    n_calibration: int
    split: str
    binarization: str
    ratio: Float64Array | None
    ratio_p_value: Float64Array | None
    tail_p_value: Float64Array | None
    p_value_either: Float64Array | None
    tail_p_value_per_column: Float64Array | None
    why_null: str | None
    blame: Float64Array | None
    blame_standard_error: Float64Array | None
    blame_order: Int64Array | None

    @property
    def blamed(self) -> list[list[str]] | None:
        """The names of each row's known columns, the one most to blame first."""
        if self.blame is None or self.blame_order is None or self.columns is None:
            return None
        names, is_known = np.array(self.columns, object), ~np.isnan(self.blame)
        ordered = zip(self.blame_order, is_known, strict=True)
        return [names[order[known[order]]].tolist() for order, known in ordered]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ImputeResult(AnalysisResult):
    """
    The missing values of x given the observed ones, x_o, which stay as they are.

    Attributes:
        mean: E[x | x_o], (N, *data_shape).
        mean_standard_error: 0 where x is observed, (N, *data_shape).
        variance: Var[x | x_o], 0 where x is observed, (N, *data_shape).
        variance_standard_error: 0 where x is observed, (N, *data_shape).
        samples: S draws of x given x_o, (N, S, *data_shape).
        effective_sample_size: The effective number of the draws of z, (N,).
        log_p_observed: An estimate of log p(x_o), in expectation at most that, (N,).
        is_reliable: Whether the estimates of an example and their standard errors can
            be trusted, (N,).
        n_draws: K, the number of draws of z that all of this is computed from.
        interval_low: Of a table, this and the rest, which else are None: codes at the
            lower end of the interval of a missing number or ordered category, x itself
            where it is observed, NaN for other categories, (N, D).
        interval_high: At the upper end, (N, D).
        interval_probability: That the cell lies between them, (N, D); NaN where there
            is no interval.
        probabilities: Of the categories in `ModelResult.levels`, (N, L), or None if
            there are none.
    """

    mean: DataArray
    mean_standard_error: DataArray
    variance: DataArray
    variance_standard_error: DataArray
    samples: DataArray
    effective_sample_size: Float64Array
    log_p_observed: Float64Array
    log_p_observed_standard_error: Float64Array
    is_reliable: BoolArray
    n_draws: int
    interval_low: Float64Array | None
    interval_high: Float64Array | None
    interval_probability: Float64Array | None
    interval_probability_standard_error: Float64Array | None
    probabilities: Float64Array | None
    probabilities_standard_error: Float64Array | None
