"""What a run leaves behind: test figures, model card, pictures, checkpoint."""

import json
from collections.abc import Sequence
from typing import Any

import torch

from model import checkpoint
from model.data import Dataset
from model.evaluate import evaluate
from model.figures import figures as summarized
from model.manifest import Figure, Metrics, Provenance, Split
from model.train import pictures
from model.train.card import card
from model.train.options import Options
from model.train.places import Places
from model.train.preparation import Array, Prepared
from model.vae import VAE

_N_RECONSTRUCTIONS = 12
_N_SAMPLES = 100


def publish(
    places: Places,
    *,
    vae: VAE,
    dataset: Dataset,
    prepared: Prepared,
    options: Options,
    complete: bool,
    command: Sequence[str],
) -> Metrics:
    """
    Write the checkpoint of a run's best weights, and return its figures.

    The test rows are looked at only when the run is complete, so that no decision can
    rest on them.
    """
    journal = places.recorded()
    figures = _figures(vae, prepared.validation, "validation", prepared, options)
    if complete:
        figures += _figures(vae, prepared.test, "test", prepared, options)
    metrics = Metrics(figures=figures)
    provenance = Provenance.here_and_now(
        seed=options.seed,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        dataset_source=dataset.source,
        command=tuple(command),
    )
    drawn = _pictures(vae, prepared, options, journal)
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
        attachments={"metrics.jsonl": _lines(journal), **drawn},
    )
    return metrics


def _figures(
    vae: VAE, x: Array, split: Split, prepared: Prepared, options: Options
) -> tuple[Figure, ...]:
    evaluation = evaluate(
        vae,
        _on_device(vae, x),
        n_samples=options.test_samples,
        seed=options.test_seed,
    )
    return summarized(
        evaluation,
        split=split,
        binarization=prepared.binarization,
        n_samples=options.test_samples,
        noise_seed=options.test_seed,
    )


def _pictures(
    vae: VAE, prepared: Prepared, options: Options, journal: Sequence[dict[str, Any]]
) -> dict[str, bytes]:
    drawn = {}
    if journal:  # it may have been deleted
        drawn["learning_curve.png"] = pictures.learning_curve(journal)
    if pictures.drawable(vae.config.data_shape):
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
