"""Probabilistic PCA served: a model whose log p(x), gaps and posterior are known."""

from pathlib import Path
from typing import Any

import torch

from model import checkpoint
from model.config import Config
from model.data_config import Data
from model.vae import VAE
from tests.model.ppca import Ppca, ppca
from tests.tiny import LINEAR, save_tiny, tiny_config, tiny_vae


def build(*, latent_dim: int, prior: dict[str, Any] | None = None, **_: object) -> VAE:
    """Return a linear model with random weights and biases, in float64."""
    config = tiny_config(
        "gaussian", data_shape=(5,), network=LINEAR, latent_dim=latent_dim
    )
    own_units = Data(
        name="tiny", divided_by=1.0, binarization="none", standardized=False
    )
    document = {**config.model_dump(), "data": own_units.model_dump()}
    document["prior"] = prior or document["prior"]
    vae = tiny_vae(Config.model_validate(document)).double()
    noise = torch.Generator().manual_seed(0)
    for parameter in vae.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise).double())
    return vae


def save(directory: Path, latent_dim: int) -> Ppca:
    """Write a checkpoint; return the model that it holds, and data, in closed form."""
    model = ppca(build, latent_dim)
    save_tiny(directory, model.vae.float())
    vae = checkpoint.load(directory).vae.double()
    return Ppca(vae, model.x.float().double())
