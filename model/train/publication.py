"""Write the checkpoint of a run: figures, model card, pictures, held-out rows."""

import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from model import checkpoint
from model.checkpoint.figures import figures as summarize
from model.checkpoint.golden import golden
from model.checkpoint.held_out import (
    MAX_EXAMPLE_BYTES,
    MAX_SCORES,
    Calibration,
    Examples,
    Scores,
    ScoreSettings,
    evenly,
)
from model.checkpoint.manifest import Figure, LatentUse, ModelMetrics, Provenance, Split
from model.data import Dataset
from model.data.preparation import Array, Prepared
from model.evaluation import Evaluation, evaluate
from model.train import pictures
from model.train.card import card
from model.train.gain import amortization_gap
from model.train.latent_quantiles import latent_quantiles
from model.train.latent_use import latent_use
from model.train.options import TrainOptions
from model.train.places import Places
from model.vae import VAE

_N_RECONSTRUCTIONS = 12
_N_SAMPLES = 100


class Measuring(Protocol):
    """
    The options of the figures and of what is held out.

    Attributes:
        test_samples: K of the figures.
        test_seed: Seed of their noise.
        examples: The number of held-out rows to store.
    """

    @property
    def test_samples(self) -> int: ...

    @property
    def test_seed(self) -> int: ...

    @property
    def examples(self) -> int: ...


def publish(
    places: Places,
    *,
    vae: VAE,
    dataset: Dataset,
    prepared: Prepared,
    options: TrainOptions,
    complete: bool,
    command: Sequence[str],
    parent_sha256: str | None,
) -> ModelMetrics:
    """
    Write the checkpoint of a run's best weights, and return its figures.

    The test rows are used only when the run is complete, so that no decision can
    depend on them.

    Args:
        parent_sha256: sha256 of the checkpoint in --init-from, if any.
    """
    journal = places.journal_lines()
    held_out = evaluated(vae, prepared.validation, options)
    if complete:
        metrics = test_metrics(vae, held_out, prepared, options)
    else:
        metrics = _validation_metrics(vae, held_out, prepared, options)
    provenance = _provenance(dataset, options, command, parent_sha256)
    drawn = _learning_curve(journal) | pictures_of(vae, prepared, options)
    examples = stored_examples(vae, dataset, prepared, options)
    checkpoint.save(
        places.checkpoint,
        vae=vae,
        provenance=provenance,
        metrics=metrics,
        card=card(
            vae,
            metrics=metrics,
            provenance=provenance,
            training=_training(journal, complete=complete),
            pictures=drawn,
        ),
        attachments={
            "metrics.jsonl": _lines(journal),
            **held_out_files(vae, held_out, examples, prepared, options),
            **drawn,
        },
        golden=examples and golden(vae, examples.x, seed=options.test_seed),
    )
    return metrics


def test_metrics(
    vae: VAE, held_out: Evaluation, prepared: Prepared, options: Measuring
) -> ModelMetrics:
    """Return the figures of validation, of which `held_out` is one, and test rows."""
    test = evaluated(vae, prepared.test, options)
    metrics = _validation_metrics(vae, held_out, prepared, options)
    figures = (
        *metrics.figures,
        *_figures(test, "test", prepared, options),
        *_gain(vae, prepared, options),
    )
    return metrics.model_copy(update={"figures": figures})


def _validation_metrics(
    vae: VAE, held_out: Evaluation, prepared: Prepared, options: Measuring
) -> ModelMetrics:
    figures = _figures(held_out, "validation", prepared, options)
    return ModelMetrics(figures=figures, latent_use=_latent_use(vae, prepared, options))


def _provenance(
    dataset: Dataset, options: TrainOptions, command: Sequence[str], parent: str | None
) -> Provenance:
    return Provenance.here_and_now(
        seed=options.seed,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        dataset_source=dataset.source,
        command=tuple(command),
        parent_sha256=parent,
    )


def evaluated(vae: VAE, x: Array, options: Measuring) -> Evaluation:
    """Return the terms of the ELBO of rows, (N, D)."""
    return evaluate(
        vae,
        _on_device(vae, x),
        n_samples=options.test_samples,
        seed=options.test_seed,
    )


def _figures(
    evaluation: Evaluation, split: Split, prepared: Prepared, options: Measuring
) -> tuple[Figure, ...]:
    return summarize(
        evaluation,
        split=split,
        binarization=prepared.binarization,
        n_samples=options.test_samples,
        noise_seed=options.test_seed,
    )


def _gain(vae: VAE, prepared: Prepared, options: Measuring) -> tuple[Figure, ...]:
    found = amortization_gap(
        vae,
        _on_device(vae, prepared.test),
        split="test",
        binarization=prepared.binarization,
        noise_seed=options.test_seed,
    )
    return () if found is None else (found,)


def _latent_use(vae: VAE, prepared: Prepared, options: Measuring) -> LatentUse:
    return latent_use(
        vae,
        _on_device(vae, prepared.validation),
        split="validation",
        binarization=prepared.binarization,
        noise_seed=options.test_seed,
    )


def held_out_files(
    vae: VAE,
    evaluation: Evaluation,
    examples: Examples | None,
    prepared: Prepared,
    options: Measuring,
) -> dict[str, bytes]:
    """Return the files with scores and rows of the validation split."""
    files = {checkpoint.CALIBRATION: _calibration(vae, evaluation, prepared, options)}
    if examples is not None:
        files[checkpoint.EXAMPLES] = examples.to_bytes()
    return files


def _calibration(
    vae: VAE, evaluation: Evaluation, prepared: Prepared, options: Measuring
) -> bytes:
    """Return scores of at most 10,000 validation rows, and quantiles of their z."""
    settings = ScoreSettings(
        split="validation",
        binarization=prepared.binarization,
        n_samples=options.test_samples,
        noise_seed=options.test_seed,
    )
    bound = evaluation.bound
    values = -bound[evenly(len(bound), MAX_SCORES)]
    aggregate = latent_quantiles(
        vae,
        _on_device(vae, prepared.validation),
        split="validation",
        binarization=prepared.binarization,
    )
    scores = {"negative_elbo": Scores(values, settings)}
    return Calibration(scores, aggregate).to_bytes()


def stored_examples(
    vae: VAE, dataset: Dataset, prepared: Prepared, options: Measuring
) -> Examples | None:
    """Return the validation rows to store, with their labels, or None."""
    split = dataset.validation
    n_bytes = split.x[0].nbytes
    rows = evenly(len(split.x), min(options.examples, MAX_EXAMPLE_BYTES // n_bytes))
    if len(rows) == 0:
        return None
    plain = prepared.binarization == "none"
    return Examples(
        # As a client sends them: not standardized.
        x=split.x[rows] if vae.units is not None else prepared.validation[rows],
        gray=None if plain else split.x[rows].astype(np.float32),
        labels=None if split.labels is None else split.labels[rows],
    )


def _learning_curve(journal: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    if not journal:  # the file may have been deleted
        return {}
    return {"learning_curve.png": pictures.learning_curve(journal)}


def pictures_of(
    vae: VAE, prepared: Prepared | None, options: Measuring
) -> dict[str, bytes]:
    """Return the pictures of the card that do not need a training, by file name."""
    drawn = {}
    if pictures.drawable(vae.config.data_shape):
        if prepared is not None:
            x = _on_device(vae, prepared.validation[:_N_RECONSTRUCTIONS])
            drawn["reconstructions.png"] = pictures.reconstructions(vae, x)
        drawn["samples.png"] = pictures.samples(vae, _N_SAMPLES, seed=options.test_seed)
        if vae.config.latent_dim == 2:
            drawn["manifold.png"] = pictures.manifold(vae)
    return drawn


def _training(journal: Sequence[dict[str, Any]], *, complete: bool) -> str:
    epochs = f"{len(journal)} epoch{'s' * (len(journal) != 1)}"
    kept = f"epoch {pictures.best_epoch(journal)}" if journal else "the best epoch"
    return f"The weights are those of {kept}, the best on validation of {epochs}" + (
        "." if complete else ", after which training was stopped before its end."
    )


def _on_device(vae: VAE, x: Array) -> torch.Tensor:
    return torch.from_numpy(x).to(next(vae.parameters()).device)


def _lines(journal: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in journal).encode()
