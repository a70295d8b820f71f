"""Tiny real checkpoints, one of each kind of model, and a browser."""

import gc
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    Binarization,
    Config,
    Conv,
    Data,
    LikelihoodConfig,
    LikelihoodName,
    Mlp,
    Network,
)
from model.networks import Standardization
from model.units import StoredUnits
from model.vae import VAE, initialized

MLP = Mlp(kind="mlp", hidden=(8,), activation="tanh")
LINEAR = Mlp(kind="mlp", hidden=(), activation="tanh")
CONV = Conv(kind="conv", channels=(2, 3), hidden=6, activation="relu")

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

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
    vae = initialized(config, seed=seed)
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


def pytest_configure() -> None:
    """Have Ctrl-C end what tests start, also where a script runs them with `&`."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Have the files that take longest come first, so that all cores end together.

    These are files with slow tests, beginning with those of few tests, and then the
    others, beginning with those of many.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    n_tests = Counter(item.path for item in items)

    def order(item: pytest.Item) -> tuple[bool, int]:
        is_slow, n = item.path in slow, n_tests[item.path]
        return not is_slow, n if is_slow else -n

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """Have no later collection of garbage look at modules and thousands of tests."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start one browser for the tests of a module."""
    if _CHROMIUM is None:
        pytest.skip("chromium is absent")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=_CHROMIUM, args=_QUIET)
        yield launched
        launched.close()
