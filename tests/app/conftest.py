"""Services of the tiny checkpoints, each started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.served import Served


@pytest.fixture(scope="session")
def bernoulli(checkpoints: Path) -> Iterator[Served]:
    """Serve a Bernoulli MLP with data_shape (4, 4)."""
    with Served(checkpoints / "bernoulli") as served:
        yield served


@pytest.fixture(scope="session")
def plane(checkpoints: Path) -> Iterator[Served]:
    """Serve a Bernoulli MLP like it, but of two latent dimensions."""
    with Served(checkpoints / "plane") as served:
        yield served


@pytest.fixture(scope="session")
def gaussian(checkpoints: Path) -> Iterator[Served]:
    """Serve a Gaussian MLP with standardized data of shape (5,)."""
    with Served(checkpoints / "gaussian") as served:
        yield served


@pytest.fixture(scope="session")
def conv(checkpoints: Path) -> Iterator[Served]:
    """Serve a convolutional continuous Bernoulli with data_shape (8, 8, 2)."""
    with Served(checkpoints / "conv") as served:
        yield served


@pytest.fixture(scope="session")
def linear(checkpoints: Path) -> Iterator[Served]:
    """Serve a Gaussian model whose encoder and decoder are linear, data_shape (2,)."""
    with Served(checkpoints / "linear") as served:
        yield served


@pytest.fixture(scope="session")
def limited(checkpoints: Path) -> Iterator[Served]:
    """Serve with limits that are easily reached."""
    with Served(
        checkpoints / "bernoulli",
        max_body_bytes=4096,
        max_rows=4,
        max_n_samples=100,
        max_output_values=48,
        max_work=1000,
    ) as served:
        yield served
