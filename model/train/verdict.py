"""Judge a finished run in a few lines: what went wrong, and what to do about it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from model.checkpoint.manifest import LITTLE, ColumnFit, LatentUse
from model.train.comparison import Difference
from model.train.options import RunOptions

_DIVERGED = 100.0  # nats per value below independent values
_GAP = 0.05  # nats per value that count, as overfitting or as progress
_RECENT = 0.2  # of the epochs, over which validation must still rise
_LAST = 0.95  # of the epochs, after which the best one is among the last
_FEW_STEPS = 500
_FEW_ROWS = 20


class RunEvidence(NamedTuple):
    """
    What a run is judged by; bounds are means in nats.

    Attributes:
        journal: A line per epoch.
        kept_epoch: Whose weights are kept; 0 for the start.
        validation_error: Standard error of the validation bound.
        n_values: D.
        n_steps: Taken in total.
        n_rows: Of the training.
        independent: log p(x) of independent values on validation.
        failure: The message of training that ended in NaN or infinity.
        train_elbo: Of training rows without hidden cells, for a table; for other data
            the journal has it.
        columns: Of a table.
    """

    journal: Sequence[dict[str, Any]]
    kept_epoch: int
    validation_elbo: float
    validation_error: float
    n_values: int
    n_steps: int
    n_rows: int
    independent: float
    differences: Sequence[Difference]
    latent_use: LatentUse
    options: RunOptions
    failure: str | None
    train_elbo: float | None = None
    columns: tuple[ColumnFit, ...] | None = None


class Verdict(NamedTuple):
    """
    The verdict on a run.

    Attributes:
        lines: One per finding.
        is_usable: Whether the model can be served in earnest.
    """

    lines: tuple[str, ...]
    is_usable: bool


def judge(evidence: RunEvidence) -> Verdict:
    """Return the verdict: the first fault that makes a model unusable, or warnings."""
    unusable = _diverged(evidence) or _collapsed(evidence)
    if unusable is not None:
        return Verdict((unusable,), is_usable=False)
    found = (
        _few_rows(evidence),
        _overfit(evidence),
        _too_few_steps(evidence),
        _worse(evidence),
        _at_marginal(evidence),
    )
    warnings = tuple(line for line in found if line is not None)
    comparison = tuple(f"{d.sentence}." for d in evidence.differences)
    if not warnings:
        warnings = ("Good: no sign of divergence, collapse or overfitting.",)
    return Verdict((*warnings, *comparison), is_usable=True)


def _diverged(evidence: RunEvidence) -> str | None:
    advice = "try a lower --learning-rate"
    if evidence.failure is not None:
        return f"Diverged: {evidence.failure}."
    limit = evidence.independent - _DIVERGED * (evidence.n_values + 1)
    last = evidence.journal[-1]["validation"]["elbo"] if evidence.journal else 0.0
    for name, elbo in (("kept", evidence.validation_elbo), ("last", last)):
        if not elbo > min(limit, 0.0):
            return (
                f"Diverged: the validation ELBO of the {name} weights is {elbo:.4g} "
                f"nats, where independent values have {evidence.independent:.4g}; "
                f"{advice}."
            )
    return None


def _collapsed(evidence: RunEvidence) -> str | None:
    use = evidence.latent_use
    has_just_begun = evidence.n_steps < _FEW_STEPS and not _is_settled(evidence)
    if any(use.active) or has_just_begun:
        return None
    return (
        f"Collapsed: none of the {len(use.active)} latent dimensions depends on x. If "
        "the values of x are related at all, try more --epochs, --free-bits 0.1, "
        "--kl-warmup-epochs or a lower --beta."
    )


def _is_settled(evidence: RunEvidence) -> bool:
    """Return whether validation stopped rising, by the patience of the run."""
    patience = evidence.options.patience
    bounds = [line["validation"]["elbo"] for line in evidence.journal]
    if not patience or not bounds:
        return False
    return len(bounds) - 1 - bounds.index(max(bounds)) >= patience


def _few_rows(evidence: RunEvidence) -> str | None:
    if evidence.n_rows >= _FEW_ROWS:
        return None
    return (
        f"Few rows: {evidence.n_rows} to train on, so that neither the model nor its "
        f"figures say much; {_FEW_ROWS} are the least, hundreds are better."
    )


def _overfit(evidence: RunEvidence) -> str | None:
    line = _line(evidence)
    if line is None:
        return None
    least = max(_GAP * evidence.n_values, 3 * evidence.validation_error)
    last = evidence.journal[-1]
    fall = line["validation"]["elbo"] - last["validation"]["elbo"]
    rise = last["train"]["elbo"] - line["train"]["elbo"]
    train_elbo = evidence.train_elbo
    if train_elbo is None:
        train_elbo = line["train"]["elbo"]
    gap = train_elbo - evidence.validation_elbo
    advice = "try fewer --latent-dim or --hidden, more --weight-decay, or more rows"
    if gap > least:
        return (
            f"Overfit: the ELBO is {gap:.2f} nats lower on validation than on the "
            f"training rows; {advice}."
        )
    if fall > least and rise > 0:
        return (
            f"Overfit: after epoch {line['epoch']} validation fell by {fall:.2f} nats "
            f"while training rose by {rise:.2f}. The weights are those of epoch "
            f"{line['epoch']}; for a better model {advice}."
        )
    return None


def _too_few_steps(evidence: RunEvidence) -> str | None:
    options, journal = evidence.options, evidence.journal
    if not journal or len(journal) < options.epochs:
        return None  # patience ended the run, or somebody
    advice = f"go on with --resume and --epochs {2 * options.epochs}"
    if evidence.n_steps < _FEW_STEPS:
        return f"Too few steps: {evidence.n_steps} were taken; {advice}."
    if evidence.kept_epoch < _LAST * len(journal):
        return None
    recent = journal[-1 - max(1, math.ceil(_RECENT * len(journal))) :]
    rise = recent[-1]["validation"]["elbo"] - recent[0]["validation"]["elbo"]
    if rise < max(_GAP * evidence.n_values, 0.1):
        return None
    return (
        f"Too few steps: validation rose by {rise:.2f} nats in the last "
        f"{len(recent) - 1} epochs and was still rising; {advice}."
    )


def _worse(evidence: RunEvidence) -> str | None:
    worse = [d.named for d in evidence.differences if d.is_worse]
    if not worse:
        return None
    return (
        f"Worse than {' and '.join(worse)}: a simpler model describes these rows "
        "better; try more --epochs or another --latent-dim."
    )


def _at_marginal(evidence: RunEvidence) -> str | None:
    """Return which columns of a table the latents say nothing about."""
    stuck = [fit.name for fit in evidence.columns or () if fit.is_at_marginal]
    if not stuck:
        return None
    return (
        f"At their marginal: {', '.join(stuck)}. z says less than {LITTLE} nats about "
        "each of these columns, which may have nothing to do with the others."
    )


def _line(evidence: RunEvidence) -> dict[str, Any] | None:
    """Return the journal's line of the kept epoch, or None for the start."""
    kept = [line for line in evidence.journal if line["epoch"] == evidence.kept_epoch]
    return kept[0] if kept else None
