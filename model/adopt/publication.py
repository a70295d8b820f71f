"""Write the checkpoint of adopted networks: figures, model card, held-out rows."""

from collections.abc import Sequence

import numpy as np

from model import checkpoint
from model.adopt.expectations import Expected
from model.adopt.measured import MeasuredData
from model.adopt.options import AdoptOptions
from model.binarization import threshold
from model.checkpoint.golden import golden
from model.checkpoint.held_out import MAX_EXAMPLE_BYTES, Examples, evenly
from model.checkpoint.manifest import ModelMetrics, Provenance
from model.train.card import card
from model.train.measurement import (
    evaluate_split,
    held_out_files,
    pictures_of,
    stored_examples,
    test_metrics,
)
from model.vae import VAE


def publish(
    vae: VAE,
    options: AdoptOptions,
    *,
    measured: MeasuredData | None,
    expected: Expected | None,
    training: str,
    command: Sequence[str],
) -> ModelMetrics:
    """
    Write the checkpoint, and return its figures; without data it has none.

    Args:
        training: Sentences about the origin of the weights, for the card.
    """
    provenance = _provenance(vae, measured, options, command)
    metrics, attachments = ModelMetrics(figures=()), pictures_of(vae, None, options)
    examples = _expected_examples(vae, expected, options)
    if measured is not None:
        prepared = measured.prepared
        held_out = evaluate_split(vae, prepared.validation, options, "validation")
        test = evaluate_split(vae, prepared.test, options, "test")
        metrics = test_metrics(vae, held_out, test, prepared, options)
        examples = stored_examples(vae, measured.dataset, prepared, options)
        attachments = {
            **pictures_of(vae, prepared, options),
            **held_out_files(vae, held_out, examples, prepared, options),
        }
    elif examples is not None:
        attachments[checkpoint.EXAMPLES] = examples.to_bytes()
    checkpoint.save(
        options.out,
        vae=vae,
        provenance=provenance,
        metrics=metrics,
        card=card(
            vae,
            metrics=metrics,
            provenance=provenance,
            training=training,
            pictures=[name for name in attachments if name.endswith(".png")],
        ),
        attachments=attachments,
        golden=examples and golden(vae, examples.x, seed=options.test_seed),
    )
    return metrics


def _provenance(
    vae: VAE,
    measured: MeasuredData | None,
    options: AdoptOptions,
    command: Sequence[str],
) -> Provenance:
    dataset = None if measured is None else measured.dataset
    return Provenance.here_and_now(
        seed=options.test_seed,
        dataset=vae.config.data.name if dataset is None else dataset.name,
        dataset_sha256=None if dataset is None else dataset.sha256,
        dataset_source=(
            "Trained elsewhere; no data were given to measure it on"
            if dataset is None
            else f"Trained elsewhere; measured on {dataset.source}"
        ),
        command=tuple(command),
    )


def _expected_examples(
    vae: VAE, expected: Expected | None, options: AdoptOptions
) -> Examples | None:
    """Return the rows of --expect as examples, binary for a Bernoulli likelihood."""
    if expected is None or options.examples == 0:
        return None
    most = min(options.examples, MAX_EXAMPLE_BYTES // expected.x[0].nbytes)
    x = expected.x[evenly(len(expected.x), most)]
    if vae.config.likelihood.kind != "bernoulli":
        return Examples(x=x, gray=None, labels=None)
    is_binary = bool(np.isin(x, (0, 1)).all())
    return Examples(x=threshold(x), gray=None if is_binary else x, labels=None)
