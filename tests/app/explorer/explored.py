"""The page at `/` in a browser: models to show on it, and what a test waits for."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model import checkpoint
from model.checkpoint.held_out import Examples
from model.config import Config, LikelihoodName
from model.vae import VAE
from tests.model.tables import tables
from tests.tiny import calibrated, save_tiny, tiny_config, tiny_vae

ROOT = Path(__file__).parents[3]
# Where the pictures go that tests take of the page; git ignores the default.
ARTIFACTS = Path(os.environ.get("TEST_ARTIFACTS", ROOT / ".artifacts")) / "explorer"
MODELS: dict[str, tuple[LikelihoodName, tuple[int, ...], int]] = {
    "pictures": ("bernoulli", (8, 8), 10),
    "few": ("bernoulli", (8, 8), 3),
    "colors": ("continuous_bernoulli", (6, 6, 3), 3),
    "table": ("gaussian", (5,), 3),
    "planes": ("continuous_bernoulli", (8, 8, 2), 2),
    "narrow": ("gaussian", (2,), 1),
    "limited": ("bernoulli", (4, 4), 2),
    "learned": ("bernoulli", (4, 4), 2),
    "cells": ("table", (4,), 3),
}
MIXTURE = {"kind": "gaussian_mixture", "n_components": 3}  # of "learned"
COLUMNS = ("height", "mass", "<b>", "width", "age")  # of "table"
UNITS = (None, "kg", None, None, "a")
LABELS = ("height", "mass (kg)", "<b>", "width", "age (a)")
PANELS = ["one", "bound", "draws", "dials", "map", "film", "samples"]
PANELS_OF_CELLS = [*PANELS, "missing", "columns"]
WITH_ROWS = {"pictures", "colors", "cells"}
N_ROWS = 12
MAX_ROWS = 20  # of "limited": fewer than the page would ask for
SECONDS = 120


class Opened(NamedTuple):
    """A page that has loaded, and what it did meanwhile."""

    page: Any
    address: str
    complaints: list[str]
    requested: list[str]


def save(directory: Path, name: str) -> Path:
    """Write one of MODELS, with held-out rows and scores where it has them."""
    kind, data_shape, latent_dim = MODELS[name]
    if name == "cells":
        codes = tables.mixed_codes()
        vae = tables.model(tables.MIXED, codes, latent_dim=latent_dim)
        return _saved(directory / name, vae, codes[:N_ROWS])
    config = tiny_config(kind, data_shape=data_shape, latent_dim=latent_dim)
    if name == "table":
        units = {"columns": COLUMNS, "column_units": UNITS}
        data = {**config.data.model_dump(), **units}
        config = Config.model_validate({**config.model_dump(), "data": data})
    if name == "learned":
        config = Config.model_validate({**config.model_dump(), "prior": MIXTURE})
    x = np.random.default_rng(1).random((N_ROWS, config.data_dim), np.float32)
    x = x.round() if kind == "bernoulli" else x
    return _saved(directory / name, tiny_vae(config), x if name in WITH_ROWS else None)


def _saved(path: Path, vae: VAE, x: NDArray[Any] | None) -> Path:
    """Write a checkpoint, with held-out rows and scores if there are rows."""
    if x is None:
        return save_tiny(path, vae)
    labels = np.arange(len(x), dtype=np.int64) % 3
    examples = Examples(x=x, gray=None, labels=labels).to_bytes()
    scores = calibrated(np.linspace(10.0, 90.0, 50), n_samples=1)
    return save_tiny(path, vae, {checkpoint.EXAMPLES: examples, **scores})


def shown(value: float, digits: int = 1) -> str:
    """Return a number as the page writes it."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def painted(page: Any, selector: str) -> int:
    """Return how many colors the first of some canvases shows."""
    n: int = page.locator(selector).first.evaluate(
        """(canvas) => new Set(new Uint32Array(canvas.getContext("2d")
            .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    )
    return n


def settled(page: Any) -> None:
    """Wait until every panel has its answer."""
    page.wait_for_selector("[aria-busy=true]", state="detached")
