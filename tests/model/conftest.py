"""Small models that the tests of `model/` share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from model.config import FORMAT_VERSION, Config
from model.vae import VAE, initial_vae

Document = dict[str, Any]


@pytest.fixture(scope="module")
def few_rows_are_refined() -> Iterator[None]:
    """
    Have a run measure its amortization gap on four test rows instead of a hundred.

    That would take most of the time of a small run, and hardly a test looks at it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.train.gain._MOST_ROWS", 4)
        yield


@pytest.fixture
def document() -> Document:
    """Return the content of a small model's `config.json`."""
    return _document()


@pytest.fixture(scope="session")
def build() -> Callable[..., VAE]:
    """Return a maker of small VAEs in float64 whose every weight and bias is random."""
    return _build


def _document(
    *,
    data_shape: tuple[int, ...] = (6,),
    latent_dim: int = 3,
    likelihood: str = "bernoulli",
    sigma_floor: float = 0.1,
    hidden: tuple[int, ...] = (5, 4),
    channels: tuple[int, ...] = (),
    activation: str = "tanh",
    standardized: bool = False,
    prior: Document | None = None,
) -> Document:
    network: Document = {"kind": "mlp", "hidden": hidden, "activation": activation}
    if channels:
        network = {
            "kind": "conv",
            "channels": channels,
            "hidden": hidden[0],
            "activation": activation,
        }
    return {
        "format_version": FORMAT_VERSION,
        "data_shape": data_shape,
        "latent_dim": latent_dim,
        "likelihood": {
            "kind": likelihood,
            "sigma_floor": sigma_floor if likelihood == "gaussian" else None,
        },
        "encoder": network,
        "decoder": dict(network),
        "data": {
            "name": "tiny",
            "divided_by": 1.0,
            "binarization": "none",
            "standardized": standardized,
        },
        "prior": prior or {"kind": "standard_normal"},
    }


def _build(*, seed: int = 0, **changes: Any) -> VAE:
    vae = initial_vae(Config.model_validate(_document(**changes)), seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in vae.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.3 * noise.double())
        for name, buffer in vae.named_buffers():
            # Encoder and decoder of a standardized model share shift and scale.
            shared = torch.linspace(-1, 2, len(buffer), dtype=torch.float64)
            buffer.copy_(shared.exp() if name.endswith("scale") else 3 * shared)
    return vae
