"""Write the checkpoint of a run: figures, verdict, model card, pictures, rows."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from model import checkpoint
from model.checkpoint.golden import golden
from model.checkpoint.held_out import evenly
from model.checkpoint.manifest import (
    BaselineFigure,
    ModelMetrics,
    Provenance,
    SplitName,
)
from model.dataset_elbo import DatasetElbo
from model.train import pictures
from model.train.card import card
from model.train.comparison import Difference
from model.train.measurement import (
    evaluate_split,
    held_out_files,
    pictures_of,
    stored_examples,
    test_metrics,
    validation_metrics,
)
from model.train.plan import Kept, Plan
from model.train.progress import phase
from model.train.verdict import RunEvidence, Verdict, judge
from model.vae import VAE

_MOST_TRAIN_ROWS = 2000  # of a table, to compare with validation rows


class RunEnd(NamedTuple):
    """
    How a run ended.

    Attributes:
        n_steps: Taken in total.
        is_complete: Whether it has trained as long as its options say.
        failure: Why training ended early in NaN or infinity, if it did.
    """

    n_steps: int
    is_complete: bool
    failure: str | None


def publish(plan: Plan, kept: Kept, end: RunEnd) -> tuple[ModelMetrics, Verdict]:
    """
    Write the checkpoint of a run, and return its figures and the verdict on it.

    The test rows are used only when the run is complete, so that no decision can
    depend on them.
    """
    vae, prepared, options = kept.vae, plan.prepared, plan.options
    journal = plan.places.journal_lines()
    held_out = evaluate_split(vae, prepared.validation, options, "validation")
    metrics, differences = _metrics(plan, vae, held_out, end)
    verdict = _judge(plan, kept, held_out, metrics, differences, end)
    with phase("pictures and rows"):
        drawn = _learning_curve(journal, kept.epoch)
        drawn |= pictures_of(vae, prepared, options)
        examples = stored_examples(vae, plan.dataset, prepared, options)
        held = held_out_files(vae, held_out, examples, prepared, options)
        record = examples and golden(vae, examples.x, seed=options.test_seed)
    provenance = _provenance(plan)
    checkpoint.save(
        plan.places.checkpoint,
        vae=vae,
        provenance=provenance,
        metrics=metrics,
        card=card(
            vae,
            metrics=metrics,
            provenance=provenance,
            training=_training(journal, kept.epoch, end),
            verdict=verdict.lines,
            choices=plan.choices,
            pictures=drawn,
        ),
        attachments={"metrics.jsonl": _lines(journal), **held, **drawn},
        golden=record,
    )
    return metrics, verdict


def _judge(
    plan: Plan,
    kept: Kept,
    held_out: DatasetElbo,
    metrics: ModelMetrics,
    differences: tuple[Difference, ...],
    end: RunEnd,
) -> Verdict:
    validation = plan.prepared.validation
    assert metrics.latent_use is not None  # noqa: S101  just measured
    return judge(
        RunEvidence(
            journal=plan.places.journal_lines(),
            kept_epoch=kept.epoch,
            validation_elbo=float(held_out.bound.mean()),
            validation_error=_error(held_out),
            n_values=validation.shape[1],
            n_steps=end.n_steps,
            n_rows=len(plan.prepared.train),
            independent=float(plan.comparison.independent(validation).mean()),
            train_elbo=_train_elbo(plan, kept.vae),
            columns=metrics.columns,
            differences=differences,
            latent_use=metrics.latent_use,
            options=plan.options,
            failure=end.failure,
        )
    )


def _metrics(
    plan: Plan, vae: VAE, held_out: DatasetElbo, end: RunEnd
) -> tuple[ModelMetrics, tuple[Difference, ...]]:
    """Return the figures, and the comparison with the baselines."""
    prepared, options = plan.prepared, plan.options
    split: SplitName = "test" if end.is_complete else "validation"
    if end.is_complete:
        x = prepared.test
        measured = evaluate_split(vae, x, options, split)
        metrics = test_metrics(vae, held_out, measured, prepared, options)
    else:
        x, measured = prepared.validation, held_out
        metrics = validation_metrics(vae, held_out, prepared, options)
    differences = plan.comparison.differences(x, measured.bound)
    baselines = tuple(
        BaselineFigure(
            name=found.baseline,
            log_p_x=found.log_p_x,
            elbo_difference=found.mean,
            standard_error=_finite(found.standard_error),
            split=split,
            n_examples=len(x),
            binarization=prepared.binarization,
        )
        for found in differences
    )
    return metrics.model_copy(update={"baselines": baselines}), differences


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _train_elbo(plan: Plan, vae: VAE) -> float | None:
    """Return the ELBO of some training rows of a table, without hidden cells."""
    if vae.marginals is None:
        return None
    rows = plan.prepared.train[evenly(len(plan.prepared.train), _MOST_TRAIN_ROWS)]
    return float(evaluate_split(vae, rows, plan.options, "train").bound.mean())


def _error(evaluation: DatasetElbo) -> float:
    """Return the standard error of the mean bound."""
    n = len(evaluation.bound)
    return float(evaluation.bound.std(ddof=1)) / n**0.5 if n > 1 else 0.0


def _provenance(plan: Plan) -> Provenance:
    dataset = plan.dataset
    return Provenance.here_and_now(
        seed=plan.options.seed,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        dataset_source=dataset.source,
        command=tuple(plan.identity["command"]),
        parent_sha256=plan.identity["parent_sha256"],
    )


def _learning_curve(
    journal: Sequence[dict[str, Any]], kept_epoch: int
) -> dict[str, bytes]:
    if not journal:  # the file may have been deleted
        return {}
    return {"learning_curve.png": pictures.learning_curve(journal, kept_epoch)}


def _training(journal: Sequence[dict[str, Any]], kept_epoch: int, end: RunEnd) -> str:
    epochs = f"{len(journal)} epoch{'s' * (len(journal) != 1)}"
    kept = f"The weights are those of epoch {kept_epoch}, the best on validation of"
    if kept_epoch == 0:
        kept = "The weights are those of the start, no worse on validation than"
    return f"{kept} {epochs}" + (
        "." if end.is_complete else ", after which training was stopped before its end."
    )


def _lines(journal: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in journal).encode()
