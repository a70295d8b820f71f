"""The measures: columns of figures, one row per example, as in the service."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from model.checkpoint.held_out import Calibration
from model.dataset_elbo import OnRows, estimate_elbo
from model.evaluate.options import EvaluateOptions, Measure
from model.inference import analyses
from model.inference.columns import Column, Columns, columns_by_name, concatenate
from model.inference.effort import Effort
from model.inference.row_anomalies import HeldOutScores
from model.vae import VAE

_ELBO_SAMPLES = 16


class Measured(NamedTuple):
    """Columns under the names of the HTTP API, (N,) each, and the options used."""

    columns: dict[str, Column]
    settings: dict[str, float | int | None]


class Subject(NamedTuple):
    """
    The subject of a measure: model, data on its device, (N, D), and held-out scores.

    Attributes:
        observed: Where x is known, (N, D), for `impute`.
    """

    vae: VAE
    x: Tensor
    calibration: Calibration | None
    observed: Tensor | None = None


def measure(
    what: Measure, subject: Subject, options: EvaluateOptions, *, on_rows: OnRows
) -> Measured:
    """
    Measure every row.

    Raises:
        ValueError: The checkpoint lacks something that the measure needs.
    """
    measures = {
        "elbo": _elbo,
        "loglik": _loglik,
        "gap": _gap,
        "refine": _refine,
        "posterior": _posterior,
        "anomaly": _anomaly,
        "impute": _impute,
    }
    return measures[what](subject, options, on_rows)


def _elbo(subject: Subject, options: EvaluateOptions, on_rows: OnRows) -> Measured:
    k = options.n_samples or _ELBO_SAMPLES
    found = estimate_elbo(
        subject.vae, subject.x, n_samples=k, seed=options.seed, on_rows=on_rows
    )
    columns = {
        "elbo": found.bound,
        "log_likelihood": found.log_likelihood,
        "kl": found.kl,
    }
    if found.standard_error is not None:
        columns["elbo_standard_error"] = found.standard_error
    return Measured(columns, {"n_samples": k})


def _loglik(subject: Subject, options: EvaluateOptions, on_rows: OnRows) -> Measured:
    if options.n_samples is None:
        effort = Effort.adaptive(target=options.target, budget=options.budget)
        settings = {"target": options.target, "budget": options.budget}
    else:
        effort = Effort.fixed(options.n_samples)
        settings = {"n_samples": options.n_samples}
    columns = _in_slices(
        lambda x, first: analyses.evidence(
            subject.vae, x, effort, seed=options.seed, first=first
        ),
        subject,
        effort.budget,
        on_rows,
    )
    return Measured(columns, {**settings})


def _gap(subject: Subject, options: EvaluateOptions, on_rows: OnRows) -> Measured:
    settings = {"target": options.target, "budget": options.budget}
    columns = _in_slices(
        lambda x, first: analyses.gaps(
            subject.vae,
            x,
            target=options.target,
            budget=options.budget,
            seed=options.seed,
            first=first,
        ),
        subject,
        options.budget + analyses.n_draws_to_refine(subject.vae.config),
        on_rows,
    )
    return Measured(columns, {**settings})


def _refine(subject: Subject, options: EvaluateOptions, on_rows: OnRows) -> Measured:
    columns = _in_slices(
        lambda x, first: analyses.refine(
            subject.vae, x, seed=options.seed, first=first
        ),
        subject,
        analyses.n_draws_to_refine(subject.vae.config),
        on_rows,
    )
    return Measured(columns, {})


def _posterior(subject: Subject, _: EvaluateOptions, on_rows: OnRows) -> Measured:
    if (j := subject.vae.config.latent_dim) > analyses.MAX_LATENT_DIM:
        raise ValueError(f"--measure posterior needs 1 or 2 latent dimensions, got {j}")
    columns = _in_slices(
        lambda x, first: analyses.posteriors(subject.vae, x),
        subject,
        analyses.n_draws_to_integrate(subject.vae.config),
        on_rows,
    )
    return Measured(columns, {})


def _anomaly(subject: Subject, options: EvaluateOptions, on_rows: OnRows) -> Measured:
    held_out = HeldOutScores.of(subject.calibration)
    if held_out is None:
        raise ValueError(
            "--measure anomaly needs a checkpoint with held-out scores, this one has "
            "none; training writes them"
        )
    scores = held_out.negative_elbo
    how = scores.settings.binarization
    same = "threshold" if how == "threshold" else "sample"
    if options.binarize not in (None, same):
        raise ValueError(
            f"--measure anomaly needs rows binarized as the held-out ones ({how}), "
            f"got --binarize {options.binarize}"
        )
    columns = _in_slices(
        lambda x, first: analyses.anomalies(
            subject.vae, x, held_out, seed=options.seed, first=first
        ),
        subject,
        held_out.n_samples + analyses.n_draws_to_blame(subject.vae.config),
        on_rows,
    )
    settings = {
        "n_samples": held_out.n_samples,
        "n_calibration": len(scores.values),
    }
    return Measured(columns, {**settings})


def _impute(subject: Subject, options: EvaluateOptions, on_rows: OnRows) -> Measured:
    if (observed := subject.observed) is None:
        raise ValueError("--measure impute needs a --mask")
    n_draws = analyses.round_draws(options.n_draws)
    columns = _in_slices(
        lambda x, first: analyses.impute(
            subject.vae,
            x,
            observed[first : first + len(x)],
            n_draws=n_draws,
            n_samples=1,
            seed=options.seed,
            first=first,
        ),
        subject,
        analyses.n_draws_to_impute(subject.vae.config, n_draws=n_draws, n_samples=1),
        on_rows,
    )
    return Measured(columns, {"n_draws": n_draws})


def _in_slices(
    compute: Callable[[Tensor, int], Columns],
    subject: Subject,
    draws: int,
    on_rows: OnRows,
) -> dict[str, Column]:
    """
    Compute in the same slices as the service, which gives the same bits.

    Args:
        compute: Takes rows and the position of the first one.
        draws: The most draws of z per row.

    Returns:
        The columns of one value per row.
    """
    parts = []
    per_row = analyses.n_values_decoded(subject.vae.config, draws)
    for rows in analyses.slices(len(subject.x), values_per_row=per_row):
        parts.append(compute(subject.x[rows], rows.start))
        on_rows(rows.stop - rows.start)
    columns = columns_by_name(concatenate(parts))
    return {name: values for name, values in columns.items() if values.ndim == 1}
