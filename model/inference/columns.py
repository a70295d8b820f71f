"""
The results of analyses as columns: one array per quantity, one row per example.

Names are part of the HTTP API: `/loglik` and the other calls return these columns.
Fields are filled by name only, so that two figures cannot be swapped by mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.inference.bounds import ImportanceWeighted
from model.units import Units

Column = NDArray[Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """
    log p(x) or a bound on it, with the diagnostics of `ImportanceWeighted`, each (N,).

    `is_reliable` is None for the bound L_K.
    """

    log_p_x: Column
    log_p_x_standard_error: Column
    log_p_x_pooled: Column
    n_samples: Column
    effective_sample_size: Column
    pareto_k: Column
    is_reliable: Column | None = None

    @staticmethod
    def of(found: ImportanceWeighted) -> "Evidence":
        """Convert an estimate to columns."""
        return Evidence(
            log_p_x=column(found.bound.value),
            log_p_x_standard_error=column(found.bound.standard_error),
            log_p_x_pooled=column(found.pooled),
            n_samples=column(found.n_samples),
            effective_sample_size=column(found.effective_sample_size),
            pareto_k=column(found.pareto_k),
            is_reliable=optional_column(found.is_reliable),
        )


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Bracketed(Evidence):
    """log p(x) from below, as in `Evidence`, and from above, as in `Upper`; (N,)."""

    upper: Column
    upper_standard_error: Column
    r_hat: Column
    acceptance: Column


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Refined:
    """The refined q(z|x), (N, J), and its ELBO before and after, (N,)."""

    mu: Column
    log_var: Column
    elbo_before: Column
    elbo_before_standard_error: Column
    elbo_after: Column
    elbo_after_standard_error: Column
    improvement: Column
    improvement_standard_error: Column
    n_steps: Column
    converged: Column


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Gaps:
    """The gaps between the encoder's ELBO and log p(x), each (N,)."""

    log_p_x: Column
    log_p_x_standard_error: Column
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
    n_samples: Column
    pareto_k: Column
    is_reliable: Column | None = None
    converged: Column


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Posteriors:
    """
    p(z|x) by quadrature on a grid of G points per axis; `N_GRID` has G.

    Attributes:
        log_p_x: (N,), with the error of quadrature, `log_p_x_error`.
        kl: KL(q(z|x) || p(z|x)), (N,), with `kl_error`.
        converged: Whether the error of log p(x) is within the tolerance, (N,).
        mean: E[z|x], (N, J).
        covariance: Cov[z|x], (N, J, J).
        axes: Values of each z_j, (N, J, G).
        log_posterior: log p(z|x) on the grid, (N, G) or (N, G, G), z_1 first.
        log_q: log q(z|x) on the grid, of the same shape; q may have mass outside it.
    """

    log_p_x: Column
    log_p_x_error: Column
    kl: Column
    kl_error: Column
    converged: Column
    mean: Column
    covariance: Column
    axes: Column
    log_posterior: Column
    log_q: Column


@dataclass(frozen=True, eq=False, kw_only=True)
class Anomalies:
    """
    How unusual each row is compared with held-out rows; scores in nats.

    Attributes:
        negative_elbo: -ELBO, (N,).
        negative_elbo_standard_error: Of the K draws' mean, (N,); None for K = 1.
        p_value_upper: Of a score at least as high, (N,), as in `PValues`.
        p_value_lower: Of a score at least as low, (N,).
        p_value_two_sided: Of a score as extreme on either side, (N,).
        surprise_per_dim: E_q[-log p(x_d|z)], (N, D).
    """

    negative_elbo: Column
    negative_elbo_standard_error: Column | None = None
    p_value_upper: Column
    p_value_lower: Column
    p_value_two_sided: Column
    surprise_per_dim: Column


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class TableAnomalies(Anomalies):
    """
    `Anomalies` of rows of a table, and what the marginals of its columns say of them.

    Attributes:
        ratio: -ELBO + sum_j log p(x_j) over the known cells, with p(x_j) the marginal:
            how many nats less likely the row is than its cells one by one, (N,).
        ratio_p_value: Of a ratio at least as high, (N,); None without held-out ones.
        tail_p_value: Of a cell as far out as the row's farthest, (N,); None without
            held-out ones.
        p_value_either: Of either, by Bonferroni: twice the smaller, at most 1, (N,).
        tail_p_value_per_column: See `tail_p_values`, (N, C); NaN for missing cells.
        blame: log p(x_j) - log p(x_j | x_-j), (N, C); NaN for missing cells.
        blame_standard_error: (N, C); NaN for missing cells.
        blame_order: Indices of columns, the one most to blame first, (N, C).
    """

    ratio: Column
    ratio_p_value: Column | None
    tail_p_value: Column | None
    p_value_either: Column | None
    tail_p_value_per_column: Column
    blame: Column
    blame_standard_error: Column
    blame_order: Column


@dataclass(frozen=True, eq=False, kw_only=True)
class Imputed:
    """
    Imputed values given the observed ones.

    Attributes:
        mean: E[x | x_o]; observed values are themselves, up to the rounding of
            standardized units, (N, D).
        mean_standard_error: 0 where observed, (N, D).
        variance: Var[x | x_o], 0 where observed, (N, D).
        variance_standard_error: 0 where observed, (N, D).
        samples: Draws of x given x_o, (N, S, D).
        effective_sample_size: Of the draws of z, (N,).
        log_p_observed: log p(x_o) in nats, (N,).
        log_p_observed_standard_error: (N,).
        is_reliable: Whether the estimates and their errors can be trusted, (N,).
    """

    mean: Column
    mean_standard_error: Column
    variance: Column
    variance_standard_error: Column
    samples: Column
    effective_sample_size: Column
    log_p_observed: Column
    log_p_observed_standard_error: Column
    is_reliable: Column

    def in_units(self, units: Units, observed: Tensor) -> Self:
        """Return it in data units; only observed values, (N, D), have a density."""
        known = observed.cpu().numpy()
        return replace(
            self,
            mean=units.mean(self.mean),
            mean_standard_error=self.mean_standard_error * units.scale,
            variance=units.variance(self.variance),
            variance_standard_error=units.variance(self.variance_standard_error),
            samples=units.mean(self.samples),
            log_p_observed=self.log_p_observed - known @ units.log_scale,
        )


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class TableImputed(Imputed):
    """
    `Imputed` of rows of a table, and more of what its missing cells may be.

    Attributes:
        interval_low, interval_high, interval_probability,
            interval_probability_standard_error: See `CellIntervals`, (N, C).
        probabilities: Of the categories of `level_names`, (N, L).
        probabilities_standard_error: (N, L).
    """

    interval_low: Column
    interval_high: Column
    interval_probability: Column
    interval_probability_standard_error: Column
    probabilities: Column
    probabilities_standard_error: Column


Analysis = Evidence | Bracketed | Refined | Gaps | Posteriors | Anomalies | Imputed
Columns = TypeVar("Columns", bound=Analysis)


_LOG_DENSITIES = ("log_p_x", "log_p_x_pooled", "upper", "elbo_before", "elbo_after")


def in_data_units(analysis: Columns, log_jacobian: float) -> Columns:
    """Return columns whose log densities of x are in data units, in nats."""
    if log_jacobian == 0:
        return analysis
    columns = columns_by_name(analysis)
    moved: dict[str, Any] = {
        name: values.astype(np.float64) + log_jacobian
        for name, values in columns.items()
        if name in _LOG_DENSITIES
    }
    return type(analysis)(**{**columns, **moved})


def column(tensor: Tensor) -> Column:
    """Convert a tensor to a C-contiguous array on the CPU."""
    return np.ascontiguousarray(tensor.cpu().numpy())


def optional_column(tensor: Tensor | None) -> Column | None:
    """Convert a tensor to a column; None stays None."""
    return None if tensor is None else column(tensor)


def columns_by_name(analysis: Analysis) -> dict[str, Column]:
    """
    Return the columns by name, in the order in which responses have them.

    Columns that are None are left out; see `missing`.
    """
    columns = {field.name: getattr(analysis, field.name) for field in fields(analysis)}
    return {name: values for name, values in columns.items() if values is not None}


def missing_columns(analysis: Analysis) -> list[str]:
    """Return the names of the columns that are None because they do not apply."""
    names = [field.name for field in fields(analysis)]
    return [name for name in names if getattr(analysis, name) is None]


def concatenate(parts: Sequence[Columns]) -> Columns:
    """Concatenate the results of consecutive slices."""
    columns = [columns_by_name(part) for part in parts]
    whole: dict[str, Any] = dict.fromkeys(missing_columns(parts[0]))
    for name in columns[0]:
        whole[name] = np.concatenate([part[name] for part in columns])
    return type(parts[0])(**whole)
