"""The served models, with random weights, since speed does not depend on them."""

from pathlib import Path

from model import checkpoint
from model.checkpoint.manifest import ModelMetrics, Provenance
from model.config import FORMAT_VERSION, Config, Conv, Data, LikelihoodConfig, Mlp
from model.vae import VAE, initialized

SEED = 0


def digits() -> VAE:
    """Return the network of AEVB Sec. 5 for 28 x 28 images: 784-500-20-500-784."""
    layers = Mlp(kind="mlp", hidden=(500,), activation="tanh")
    return initialized(
        Config(
            format_version=FORMAT_VERSION,
            data_shape=(28, 28),
            latent_dim=20,
            likelihood=LikelihoodConfig(kind="bernoulli", sigma_floor=None),
            encoder=layers,
            decoder=layers,
            data=Data(
                name="random weights",
                divided_by=255.0,
                binarization="threshold",
                standardized=False,
            ),
        ),
        seed=SEED,
    )


def images() -> VAE:
    """Return a convolutional network for 64 x 64 x 3 images, J = 128."""
    layers = Conv(
        kind="conv", channels=(32, 64, 128, 256), hidden=512, activation="relu"
    )
    return initialized(
        Config(
            format_version=FORMAT_VERSION,
            data_shape=(64, 64, 3),
            latent_dim=128,
            likelihood=LikelihoodConfig(kind="continuous_bernoulli", sigma_floor=None),
            encoder=layers,
            decoder=layers,
            data=Data(
                name="random weights",
                divided_by=255.0,
                binarization="none",
                standardized=False,
            ),
        ),
        seed=SEED,
    )


def save(vae: VAE, directory: Path) -> Path:
    """Write a checkpoint; return the directory."""
    checkpoint.save(
        directory,
        vae=vae,
        provenance=Provenance.here_and_now(
            seed=SEED,
            dataset="none",
            dataset_sha256=None,
            dataset_source="none",
            command=("benchmarks",),
        ),
        metrics=ModelMetrics(figures=()),
        card="# Random weights\n",
    )
    return directory
