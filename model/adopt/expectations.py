"""Compare adopted networks with what they returned where they were trained."""

from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray

from model.adopt.files import read_array
from model.adopt.layout import ExampleLayout
from model.distributions import ContinuousBernoulli, Likelihood
from model.engine.onnx import OnnxVAE
from model.vae import VAE

Array = NDArray[np.float32]

_TOLERANCE = 1e-5


@final
class Expected(NamedTuple):
    """
    Values of the networks' own framework.

    Attributes:
        x: Data as the service has them, (n, D).
        mu: (n, J).
        x_hat: The decoder's output at mu as the service has it, (n, D).
    """

    x: Array
    mu: Array
    x_hat: Array


def read_expected(
    paths: tuple[Path, Path, Path],
    vae: VAE,
    examples: ExampleLayout,
    input_range: tuple[float, float],
) -> Expected:
    """
    Read x, mu and x_hat, in the networks' own order of axes and units.

    Raises:
        ValueError: A file has another shape.
        OSError: A file cannot be read.
    """
    x, mu, x_hat = (read_array(path) for path in paths)
    low, high = input_range
    is_gaussian = vae.config.likelihood.kind == "gaussian"
    rows = (_rows(x, examples, paths[0]) - low) / (high - low)
    decoded = _rows(x_hat, examples, paths[2])
    if is_gaussian:
        decoded = (decoded - low) / (high - low)
    latents = mu.reshape(len(mu), -1) if mu.ndim else mu
    if latents.shape != (len(rows), vae.config.latent_dim) or len(decoded) != len(rows):
        raise ValueError(
            f"--expect: expected {len(rows)} rows of x, of {vae.config.latent_dim} "
            f"values of mu and of x_hat, got mu {list(mu.shape)} and x_hat "
            f"{list(x_hat.shape)}"
        )
    return Expected(*(a.astype(np.float32) for a in (rows, latents, decoded)))


def check_expected(vae: VAE, expected: Expected, *, n_threads: int) -> str:
    """
    Compare the networks in torch and in ONNX Runtime with what is expected.

    Returns:
        The largest differences, in words.

    Raises:
        ValueError: A value differs by more than 1e-5 max(1, |value|).
    """
    worst = {"mu": 0.0, "x_hat": 0.0}
    x, mu = torch.from_numpy(expected.x), torch.from_numpy(expected.mu)
    with torch.inference_mode():
        for coder in (vae, OnnxVAE(vae, n_threads=n_threads)):
            for name, got, wanted in (
                ("mu", coder.encode(x).mu.numpy(), expected.mu),
                ("x_hat", _decoded(coder.decode(mu)), expected.x_hat),
            ):
                worst[name] = max(worst[name], _difference(name, got, wanted))
    return ", ".join(f"{name} differs by {error:.1e}" for name, error in worst.items())


def _difference(name: str, got: Array, wanted: Array) -> float:
    """Return the largest difference, relative to values above 1; check its size."""
    error = np.abs(got - wanted) / np.maximum(1, np.abs(wanted))
    row, column = np.unravel_index(np.argmax(error), error.shape)
    if not error.max() <= _TOLERANCE:
        raise ValueError(
            f"--expect: {name} of row {row}, value {column}: expected "
            f"{wanted[row, column]:.7g}, got {got[row, column]:.7g}"
        )
    return float(error.max())


def _decoded(p_x: Likelihood) -> Array:
    """Return what a decoder shows: the mean, or the sigmoid of the logits."""
    shown = p_x.mean
    if isinstance(p_x, ContinuousBernoulli):
        shown = torch.sigmoid(p_x.eta)
    values: Array = shown.numpy()
    return values


def _rows(array: Array, examples: ExampleLayout, path: Path) -> Array:
    """Return an array in the network's order of axes as rows, (n, D)."""
    if array.ndim < 1 or array.size != len(array) * examples.n_values or not len(array):
        raise ValueError(
            f"{path}: expected rows of {examples.n_values} values, "
            f"got the shape {list(array.shape)}"
        )
    return examples.rows_of(array)
