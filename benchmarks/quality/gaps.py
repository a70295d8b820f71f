"""Parts `gap` and `quadrature`: the gaps, and the bounds compared with quadrature."""

import numpy as np
from scipy.stats import t  # type: ignore[import-untyped]  # it ships none

from benchmarks.quality.statistics import mean
from benchmarks.quality.study import RECIPES, Study, chunks
from benchmarks.results import table
from model.inference import analyses
from model.inference.bounds import N_BLOCKS
from model.inference.columns import Bracketed, Evidence, Gaps, concatenate
from model.inference.effort import Effort
from model.inference.posterior import Posterior, posterior

_GAP_MODELS = ("aevb20", "deep_elbo")
_N_GAPS, _N_POSTERIORS = 500, 200
_ROWS = 16  # at once
_SEED = 0  # of all noise
_N_CHAINS = 16  # of the upper bound
_TARGET, _BUDGET = 0.02, 8192  # the defaults of `/loglik`
_GAP_TARGET, _GAP_BUDGET = 0.05, 4096


def gap(study: Study) -> str:
    """Report the gain of refinement and the gaps on test rows, for two networks."""
    x, index = study.rows(_N_GAPS)
    rows = []
    for name, _ in study.asked(dict.fromkeys(_GAP_MODELS)):
        vae = study.model(name).vae
        found: Gaps = concatenate(
            [
                analyses.gaps(
                    vae,
                    x[r],
                    target=_GAP_TARGET,
                    budget=_GAP_BUDGET,
                    seed=_SEED,
                    first=r.start,
                )
                for r in chunks(len(x), _ROWS, f"{name} gaps")
            ]
        )
        assert found.is_reliable is not None  # only a bound has none
        columns = (
            *(found.elbo_before, found.amortization_gap, found.elbo_after),
            *(found.approximation_gap, found.log_p_x, found.total_gap),
        )
        rows.append(
            [
                RECIPES[name].title,
                *(mean(values).shown() for values in columns),
                f"{found.is_reliable.mean():.1%}",
                f"{found.converged.mean():.1%}",
            ]
        )
    return (
        f"{len(index):,} test rows at even distances, in nats, mean ± standard error "
        "over rows; log p(x) by importance weighting from the refined q, at most "
        f"{_GAP_BUDGET:,} draws a row; training and noise seed {study.seeds[0]} and "
        f"{_SEED}. The amortization gap is what refinement gains.\n\n"
        + table(
            [
                *("network", "ELBO", "amortization gap", "refined ELBO"),
                *("approximation gap", "log p(x)", "log p(x) - ELBO"),
                *("reliable", "converged"),
            ],
            rows,
        )
    )


def quadrature(study: Study) -> str:
    """Report how often bounds and their errors hold, where log p(x) is known."""
    x, index = study.rows(_N_POSTERIORS)
    vae = study.model("aevb2").vae
    effort = Effort.adaptive(target=_TARGET, budget=_BUDGET)
    below: list[Evidence] = []
    both: list[Bracketed] = []
    truth: list[Posterior] = []
    for r in chunks(len(x), _ROWS, "quadrature"):
        truth += posterior(vae, x[r])
        below.append(analyses.evidence(vae, x[r], effort, seed=_SEED, first=r.start))
        both.append(analyses.bracket(vae, x[r], effort, seed=_SEED, first=r.start))
    log_p_x = np.array([exact.log_p_x for exact in truth])
    worst = max(exact.error for exact in truth)
    lower, bracketed = concatenate(below), concatenate(both)
    rows = [
        *_agreement("`log_p_x`", lower, lower.log_p_x - log_p_x),
        *_agreement("`log_p_x_pooled`", lower, lower.log_p_x_pooled - log_p_x),
        *_agreement("`log_p_x` with `upper`", bracketed, bracketed.log_p_x - log_p_x),
        *_bracket(bracketed, log_p_x),
    ]
    return (
        f"{len(index)} test rows at even distances, J = 2, training seed "
        f"{study.seeds[0]}, noise seed {_SEED}, the service's own target ({_TARGET:g} "
        f"nats) and budget ({_BUDGET:,} draws). Quadrature has converged on "
        f"{sum(exact.converged for exact in truth)} of them, to {worst:.0e} nats. "
        "`/loglik` weighs draws of a mixture around the encoder's q, with `upper` "
        "around a refined one.\n\n" + table(["what", "of the rows", ""], rows)
    )


def _agreement(
    what: str, found: Evidence | Bracketed, error: np.ndarray
) -> list[list[str]]:
    """Count how many errors lie within 2 and 3 of their own standard errors."""
    of_itself = np.abs(error) / found.log_p_x_standard_error
    reliable = found.is_reliable
    return [
        [
            f"{what}: within {n} standard errors of quadrature",
            _share(of_itself <= n),
            f"of those reliable {_share((of_itself <= n)[reliable])}",
        ]
        for n in (2, 3)
    ] + [
        [
            f"{what}: error, mean and largest, nats",
            "",
            f"{_error(error)}; of those reliable {_error(error[reliable])}",
        ]
    ]


def _bracket(found: Bracketed, truth: np.ndarray) -> list[list[str]]:
    """Count how many truths lie between the bounds, less and plus their errors."""
    low = t.ppf(0.975, N_BLOCKS - 1) * found.log_p_x_standard_error
    high = t.ppf(0.975, _N_CHAINS - 1) * found.upper_standard_error
    inside = (found.log_p_x - low <= truth) & (truth <= found.upper + high)
    width = found.upper + high - found.log_p_x + low
    between = (found.log_p_x <= truth) & (truth <= found.upper)
    return [
        [
            "bracket, each bound with its 95 % interval: contains quadrature",
            _share(inside),
            f"width: median {np.median(width):.4f}, largest {width.max():.3f} nats",
        ],
        [
            "the two bounds alone: contain quadrature",
            _share(between),
            f"upper less lower: mean {mean(found.upper - found.log_p_x).shown(4)} nats",
        ],
    ]


def _error(error: np.ndarray) -> str:
    return f"{mean(error).shown(4)}, {np.abs(error).max():.3f}"


def _share(held: np.ndarray) -> str:
    return f"{held.sum()} of {len(held)} ({held.mean():.1%})"
