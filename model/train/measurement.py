"""What is measured of a model and held out with it, trained here or adopted."""

from typing import Protocol

import numpy as np
import torch

from model import checkpoint
from model.checkpoint.figures import figures as summarize
from model.checkpoint.held_out import (
    MAX_EXAMPLE_BYTES,
    MAX_SCORES,
    Calibration,
    Examples,
    Scores,
    ScoreSettings,
    evenly,
)
from model.checkpoint.manifest import (
    ColumnFit,
    Figure,
    LatentUse,
    ModelMetrics,
    SplitName,
)
from model.data import Dataset
from model.data.preparation import Array, Prepared
from model.dataset_elbo import DatasetElbo, estimate_elbo
from model.inference.row_anomalies import FARTHEST, RATIO, SCORE
from model.tables.marginals import Marginals
from model.tables.tails import extremeness, log_shares, tail_p_values
from model.train import pictures
from model.train.column_fits import column_fits
from model.train.gain import amortization_gap
from model.train.latent_quantiles import latent_quantiles
from model.train.latent_use import latent_use
from model.train.progress import phase
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


def evaluate_split(
    vae: VAE, x: Array, options: Measuring, split: SplitName
) -> DatasetElbo:
    """Return the terms of the ELBO of the rows of a split, (N, D)."""
    with phase(f"{split} rows", total=len(x)) as on_rows:
        return estimate_elbo(
            vae,
            _on_device(vae, x),
            n_samples=options.test_samples,
            seed=options.test_seed,
            on_rows=on_rows,
        )


def test_metrics(
    vae: VAE,
    held_out: DatasetElbo,
    test: DatasetElbo,
    prepared: Prepared,
    options: Measuring,
) -> ModelMetrics:
    """Return the figures of validation rows, `held_out`, and of test rows."""
    metrics = validation_metrics(vae, held_out, prepared, options)
    figures = (
        *metrics.figures,
        *_figures(test, "test", prepared, options),
        *_gain(vae, prepared, options),
    )
    return metrics.model_copy(update={"figures": figures})


def validation_metrics(
    vae: VAE, held_out: DatasetElbo, prepared: Prepared, options: Measuring
) -> ModelMetrics:
    """Return the figures of validation rows alone."""
    figures = _figures(held_out, "validation", prepared, options)
    return ModelMetrics(
        figures=figures,
        latent_use=_latent_use(vae, prepared, options),
        columns=_column_fits(vae, prepared, options),
    )


def _figures(
    evaluation: DatasetElbo, split: SplitName, prepared: Prepared, options: Measuring
) -> tuple[Figure, ...]:
    return summarize(
        evaluation,
        split=split,
        binarization=prepared.binarization,
        n_samples=options.test_samples,
        noise_seed=options.test_seed,
    )


def _gain(vae: VAE, prepared: Prepared, options: Measuring) -> tuple[Figure, ...]:
    with phase("refinement"):
        found = amortization_gap(
            vae,
            _on_device(vae, prepared.test),
            split="test",
            binarization=prepared.binarization,
            noise_seed=options.test_seed,
        )
    return () if found is None else (found,)


def _column_fits(
    vae: VAE, prepared: Prepared, options: Measuring
) -> tuple[ColumnFit, ...] | None:
    if vae.marginals is None:
        return None
    x = _on_device(vae, prepared.validation)
    return column_fits(vae, x, noise_seed=options.test_seed)


def _latent_use(vae: VAE, prepared: Prepared, options: Measuring) -> LatentUse:
    with phase("use of the latents"):
        return latent_use(
            vae,
            _on_device(vae, prepared.validation),
            split="validation",
            binarization=prepared.binarization,
            noise_seed=options.test_seed,
        )


def held_out_files(
    vae: VAE,
    evaluation: DatasetElbo,
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
    vae: VAE, evaluation: DatasetElbo, prepared: Prepared, options: Measuring
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
    scores = {SCORE: Scores(values, settings)}
    if vae.marginals is not None:
        x = _on_device(vae, prepared.validation[evenly(len(bound), MAX_SCORES)])
        scores |= table_scores(vae.marginals, x, scores[SCORE])
    return Calibration(scores, aggregate).to_bytes()


def table_scores(
    marginals: Marginals, x: torch.Tensor, score: Scores
) -> dict[str, Scores]:
    """Return the further scores of rows of a table, of which `score` is -ELBO."""
    ratio = score.values + log_shares(x).cpu().numpy()
    far_out = extremeness(marginals, tail_p_values(marginals, x))
    farthest = far_out.amax(dim=1).cpu().numpy()
    no_draws = score.settings.model_copy(update={"n_samples": None, "noise_seed": None})
    return {
        RATIO: Scores(ratio, score.settings),
        FARTHEST: Scores(farthest, no_draws),
    }


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
        x=split.x[rows] if _converts(vae) else prepared.validation[rows],
        gray=None if plain else split.x[rows].astype(np.float32),
        labels=None if split.labels is None else split.labels[rows],
    )


def _converts(vae: VAE) -> bool:
    """Return whether x in the model's units is not what a client sends."""
    return vae.units is not None or vae.marginals is not None


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


def _on_device(vae: VAE, x: Array) -> torch.Tensor:
    return torch.from_numpy(x).to(next(vae.parameters()).device)
