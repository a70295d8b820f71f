"""Load and binarize the rows that a checkpoint is measured on."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from model import data
from model.config import Config
from model.data import Dataset
from model.data.load import ReadFile
from model.data.preparation import prepare, prepare_table
from model.data_config import Binarization
from model.evaluate.options import EvaluateOptions
from model.likelihoods import LIKELIHOODS
from model.vae import VAE


@final
@dataclass(frozen=True, eq=False)
class EvaluationRows:
    """
    Data in the support of the likelihood.

    Attributes:
        x: In the model's units, (N, D).
        binarize: The value of `binarize` in `/elbo` that gives the same data.
    """

    x: NDArray[np.float32]
    dataset: Dataset
    binarize: str | None


def read(options: EvaluateOptions, vae: VAE) -> EvaluationRows:
    """
    Load, split and binarize as training does, with the noise of `/elbo`'s `binarize`.

    Raw values become x as in a request to the service.

    Raises:
        ValueError: The data are invalid, or of another kind than the training data.
    """
    config = vae.config
    dataset = data.load(
        options.data,
        data_dir=options.data_dir,
        validation_fraction=options.validation_fraction,
        test_fraction=options.test_fraction,
        seed=options.data_seed,
        reading=options.reading.as_trained(Path(options.data), config.data),
        read_file=_file_reader(config),
    )
    _check(dataset, config)
    how = _how(options, config)
    if vae.marginals is not None:
        prepared = prepare_table(dataset, vae.marginals)
    else:
        prepared = prepare(
            dataset,
            likelihood=LIKELIHOODS[config.likelihood.kind],
            how=how,
            standardize=config.has_units,
            units=vae.units,
            seed=options.seed,
        )
    splits = {
        "train": prepared.train,
        "validation": prepared.validation,
        "test": prepared.test,
    }
    binarize = {"static": "sample", "threshold": "threshold"}.get(how)
    return EvaluationRows(splits[options.split][: options.n], dataset, binarize)


def _how(options: EvaluateOptions, config: Config) -> Binarization:
    """Return how to binarize; dynamic binarization of training becomes static here."""
    if options.binarize is not None and config.likelihood.kind != "bernoulli":
        raise ValueError(
            f"--binarize {options.binarize} needs a Bernoulli model, "
            f"this one's likelihood is {config.likelihood.kind}"
        )
    if options.binarize is not None:
        return "threshold" if options.binarize == "threshold" else "static"
    how = config.data.binarization
    return "static" if how == "dynamic" else how


def _file_reader(config: Config) -> ReadFile:
    """Return what reads a file as data of the model."""
    if config.table is not None:
        return partial(data.read_table, model=config)
    return partial(data.read_numbers, model=config)


def _check(dataset: Dataset, config: Config) -> None:
    if dataset.data_shape not in (config.data_shape, (config.data_dim,)):
        raise ValueError(
            f"{dataset.name} has examples of shape {list(dataset.data_shape)}, "
            f"the model is for {list(config.data_shape)}"
        )
    columns = config.data.columns or ()
    if columns and dataset.columns and dataset.columns != columns:
        raise ValueError(
            f"{dataset.name} has the columns {', '.join(dataset.columns)}, the model is"
            f" for {', '.join(columns)}: leave out --columns and --drop"
        )
    if dataset.divided_by != config.data.divided_by:
        raise ValueError(
            f"the values of {dataset.name} were divided by {dataset.divided_by:g}, "
            f"those the model was trained on by {config.data.divided_by:g}"
        )
