"""Tiny real checkpoints, one of each kind of model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model import checkpoint
from model.checkpoint.golden import golden
from model.checkpoint.held_out import Calibration, Examples, Scores, ScoreSettings
from model.checkpoint.manifest import Figure, Golden, ModelMetrics, Provenance
from model.config import (
    FORMAT_VERSION,
    Config,
    Conv,
    LikelihoodConfig,
    LikelihoodName,
    Mlp,
    Network,
)
from model.data_config import Binarization, Data
from model.networks import Standardization
from model.units import StoredUnits
from model.vae import VAE, initial_vae

MLP = Mlp(kind="mlp", hidden=(8,), activation="tanh")
LINEAR = Mlp(kind="mlp", hidden=(), activation="tanh")
CONV = Conv(kind="conv", channels=(2, 3), hidden=6, activation="relu")

FIGURE = Figure(
    name="elbo",
    value=-12.5,
    units="nats",
    split="test",
    n_examples=10,
    binarization="static",
    n_samples=1,
    noise_seed=0,
    n_seeds=1,
    spread=None,
    standard_error=0.5,
)


def tiny_config(
    kind: LikelihoodName,
    *,
    data_shape: tuple[int, ...],
    network: Network = MLP,
    latent_dim: int = 3,
) -> Config:
    """Return a configuration; a Gaussian one has standardized data."""
    gaussian = kind == "gaussian"
    return Config(
        format_version=FORMAT_VERSION,
        data_shape=data_shape,
        latent_dim=latent_dim,
        likelihood=LikelihoodConfig(kind=kind, sigma_floor=0.1 if gaussian else None),
        encoder=network,
        decoder=network,
        data=Data(
            name="tiny",
            divided_by=1.0 if gaussian else 255.0,
            binarization="static" if kind == "bernoulli" else "none",
            standardized=gaussian,
        ),
    )


def tiny_vae(config: Config, *, seed: int = 1) -> VAE:
    """Return a model with weights from a seed, and with shift and scale set."""
    vae = initial_vae(config, seed=seed)
    for module in vae.modules():
        if isinstance(module, Standardization | StoredUnits):
            module.shift.copy_(torch.linspace(-1, 1, config.data_dim))
            module.scale.copy_(torch.linspace(0.5, 2, config.data_dim))
    return vae.requires_grad_(False)


def save_tiny(
    directory: Path,
    vae: VAE,
    attachments: Mapping[str, bytes] | None = None,
    golden: Golden | None = None,
) -> Path:
    """Write a checkpoint as training would."""
    provenance = Provenance.here_and_now(
        seed=1,
        dataset="tiny",
        dataset_sha256=None,
        dataset_source="made up",
        command=("python", "-m", "model.train"),
    )
    checkpoint.save(
        directory,
        vae=vae,
        provenance=provenance,
        metrics=ModelMetrics(figures=(FIGURE,)),
        card="# tiny\n",
        attachments=attachments,
        golden=golden,
    )
    return directory


def save_golden(directory: Path, vae: VAE, x: NDArray[np.float32]) -> Path:
    """Write a checkpoint with examples and what they score, as training would."""
    examples = Examples(x=x, gray=None, labels=None).to_bytes()
    record = golden(vae, x, seed=0)
    return save_tiny(directory, vae, {checkpoint.EXAMPLES: examples}, record)


def calibrated(
    values: NDArray[np.float64],
    *,
    n_samples: int = 4,
    binarization: Binarization = "static",
) -> dict[str, bytes]:
    """Return held-out scores as training attaches them to a checkpoint."""
    settings = ScoreSettings(
        split="validation",
        binarization=binarization,
        n_samples=n_samples,
        noise_seed=0,
    )
    scores = {"negative_elbo": Scores(values, settings)}
    return {checkpoint.CALIBRATION: Calibration(scores).to_bytes()}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the checkpoints of all kinds of tiny models."""
    root = tmp_path_factory.mktemp("checkpoints")
    configs = {
        "bernoulli": tiny_config("bernoulli", data_shape=(4, 4)),
        "gaussian": tiny_config("gaussian", data_shape=(5,)),
        "plane": tiny_config("bernoulli", data_shape=(4, 4), latent_dim=2),
        "conv": tiny_config("continuous_bernoulli", data_shape=(8, 8, 2), network=CONV),
        "linear": tiny_config("gaussian", data_shape=(2,), network=LINEAR),
    }
    scores = calibrated(np.linspace(9, 14, 99))
    for name, config in configs.items():
        attachments = scores if name == "plane" else None
        save_tiny(root / name, tiny_vae(config), attachments)
    return root


def save_table(directory: Path, columns: Sequence[str]) -> Path:
    """Write a Gaussian model of a table whose columns have names."""
    config = tiny_config("gaussian", data_shape=(len(columns),), latent_dim=2)
    data = config.data.model_copy(update={"columns": tuple(columns)})
    config = Config.model_validate({**config.model_dump(), "data": data.model_dump()})
    scores = calibrated(np.linspace(9, 14, 99), binarization="none")
    return save_tiny(directory, tiny_vae(config), scores)
