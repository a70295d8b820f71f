"""What is measured: columns of figures, a row per example, as the service has them."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from model import analyses
from model.analyses import Effort
from model.columns import Column, Columns, joined
from model.evaluate import OnRows, evaluate
from model.evaluate.options import Measure, Options
from model.vae import VAE

_ELBO_SAMPLES = 16


class Measured(NamedTuple):
    """Columns by the names of the contract, (N,) each, and what they were asked for."""

    columns: dict[str, Column]
    settings: dict[str, float | int | None]


def measure(
    what: Measure, vae: VAE, x: Tensor, options: Options, *, on_rows: OnRows
) -> Measured:
    """Measure the rows of x, (N, D), on the device of x."""
    return {"elbo": _elbo, "loglik": _loglik, "gap": _gap}[what](
        vae, x, options, on_rows
    )


def _elbo(vae: VAE, x: Tensor, options: Options, on_rows: OnRows) -> Measured:
    k = options.n_samples or _ELBO_SAMPLES
    found = evaluate(vae, x, n_samples=k, seed=options.seed, on_rows=on_rows)
    columns = {
        "elbo": found.bound,
        "log_likelihood": found.log_likelihood,
        "kl": found.kl,
    }
    return Measured(columns, {"n_samples": k})


def _loglik(vae: VAE, x: Tensor, options: Options, on_rows: OnRows) -> Measured:
    if options.n_samples is None:
        effort = Effort.adaptive(target=options.target, budget=options.budget)
        settings = {"target": options.target, "budget": options.budget}
    else:
        effort = Effort.fixed(options.n_samples)
        settings = {"n_samples": options.n_samples}
    found = _in_slices(
        lambda rows: analyses.evidence(
            vae, x[rows], effort, seed=options.seed, first=rows.start
        ),
        len(x),
        analyses.values_decoded(vae.config, effort.budget),
        on_rows,
    )
    return Measured(found._asdict(), {**settings})


def _gap(vae: VAE, x: Tensor, options: Options, on_rows: OnRows) -> Measured:
    draws = options.budget + analyses.draws_refining(vae.config)
    found = _in_slices(
        lambda rows: analyses.gaps(
            vae,
            x[rows],
            target=options.target,
            budget=options.budget,
            seed=options.seed,
            first=rows.start,
        ),
        len(x),
        analyses.values_decoded(vae.config, draws),
        on_rows,
    )
    settings = {"target": options.target, "budget": options.budget}
    return Measured(found._asdict(), {**settings})


def _in_slices(
    compute: Callable[[slice], Columns],
    n_rows: int,
    values_per_row: int,
    on_rows: OnRows,
) -> Columns:
    """Compute the slices that the service would, so that the bits are the same."""
    parts = []
    for rows in analyses.slices(n_rows, values_per_row=values_per_row):
        parts.append(compute(rows))
        on_rows(rows.stop - rows.start)
    return joined(parts)
