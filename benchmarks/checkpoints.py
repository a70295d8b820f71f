"""The served models, with random weights, since speed does not depend on them."""

from pathlib import Path

from model import checkpoint
from model.checkpoint.manifest import ModelMetrics, Provenance
from model.config import (
    FORMAT_VERSION,
    Config,
    Conv,
    LikelihoodConfig,
    LikelihoodName,
    Mlp,
)
from model.data_config import Data
from model.vae import VAE, initial_vae

SEED = 0


def digits() -> VAE:
    """Return the network of AEVB Sec. 5 for 28 x 28 images: 784-500-20-500-784."""
    layers = Mlp(kind="mlp", hidden=(500,), activation="tanh")
    return untrained((28, 28), 20, layers)


def images() -> VAE:
    """Return a convolutional network for 64 x 64 x 3 images, J = 128."""
    layers = Conv(
        kind="conv", channels=(32, 64, 128, 256), hidden=512, activation="relu"
    )
    return untrained((64, 64, 3), 128, layers, likelihood="continuous_bernoulli")


def untrained(
    shape: tuple[int, ...],
    latent_dim: int,
    network: Mlp | Conv,
    *,
    likelihood: LikelihoodName = "bernoulli",
) -> VAE:
    """Return a model with random weights, of values that are divided by 255."""
    is_binary = likelihood == "bernoulli"
    return initial_vae(
        Config(
            format_version=FORMAT_VERSION,
            data_shape=shape,
            latent_dim=latent_dim,
            likelihood=LikelihoodConfig(kind=likelihood, sigma_floor=None),
            encoder=network,
            decoder=network,
            data=Data(
                name="random weights",
                divided_by=255.0,
                binarization="threshold" if is_binary else "none",
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
