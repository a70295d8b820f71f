"""
Train on color pictures with default options, and look at what comes out.

Two sets: shapes of 32 x 32 x 3, generated, and patches of 16 x 16 x 3 from the two
photographs of scikit-learn. The table has the test ELBO under each kind of noise. A
contact sheet of the first kind shows held-out pictures, each above its reconstruction,
and two rows of samples.

    python -m benchmarks.pictures [--epochs 60] [--sheet colors.png] [--write]
"""

import argparse
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image

from benchmarks.results import circumstances, table, write_section
from model import checkpoint
from model.train import pictures
from model.train.command import main as train

Pixels = NDArray[np.uint8]

_N = 3000
_NOISES = ("decoder", "value", "model")
_N_SAMPLES, _ROWS_OF_SAMPLES = 144, 2  # drawn in 12 columns, and shown
_GAP = 8


def shapes(n: int = _N, side: int = 32) -> Pixels:
    """Draw discs, squares and triangles of any color, size and place, (N, H, W, 3)."""
    draw = np.random.default_rng(0)
    down, across = np.mgrid[:side, :side]
    found = np.empty((n, side, side, 3), np.uint8)
    for picture in found:
        color = draw.integers(60, 256, 3)
        picture[:] = draw.integers(0, 60, 3)
        radius = draw.uniform(0.15, 0.3) * side
        top, left = draw.uniform(radius, side - radius, 2)
        y, x = down - top, across - left
        inside = (
            x**2 + y**2 < radius**2,
            np.maximum(abs(x), abs(y)) < 0.85 * radius,
            (y < 0.7 * radius) & (y > 2 * abs(x) - radius),
        )[draw.integers(3)]
        picture[inside] = color
    return found


def patches(n: int = _N, side: int = 16) -> Pixels:
    """Cut patches out of the photographs, (N, H, W, 3)."""
    draw = np.random.default_rng(0)
    images = sklearn.datasets.load_sample_images().images
    found = []
    for i in range(n):
        image = images[i % len(images)]
        top, left = (int(draw.integers(0, k - side)) for k in image.shape[:2])
        found.append(image[top : top + side, left : left + side])
    return np.array(found)


SETS: Mapping[str, Callable[[], Pixels]] = {"shapes": shapes, "patches": patches}


def measure(name: str, noise: str, epochs: int) -> tuple[list[str], Pixels]:
    """Train once, and return a row of the table and the rows of the sheet."""
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        np.save(where / f"{name}.npy", SETS[name]())
        words = ["--data", str(where / f"{name}.npy"), "--out", str(where / "run")]
        status = train([*words, "--noise", noise, "--epochs", str(epochs)])
        assert status == 0, f"training ended with status {status}"
        loaded = checkpoint.load(where / "run")
        drawn = pictures.samples(loaded.vae, _N_SAMPLES, seed=0)
        held_out = _read((where / "run" / "reconstructions.png").read_bytes())
        height = _ROWS_OF_SAMPLES * len(held_out) // 2
        shown = _stacked([held_out, _read(drawn)[:height]])
        figures = {f.name: f for f in loaded.metrics.figures if f.split == "test"}
    n_values = loaded.config.data_dim
    elbo = figures["elbo"]
    row = [
        name,
        noise,
        f"{elbo.value:.1f} ± {elbo.standard_error:.1f}",
        f"{elbo.value / n_values:.3f}",
        f"{figures['active_units'].value:.0f} of {loaded.config.latent_dim}",
    ]
    return row, shown


def _read(png: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _stacked(strips: Sequence[Pixels]) -> Pixels:
    """Return pictures of one width below each other, with gaps."""
    edges = ((0, _GAP), (0, 0), (0, 0))
    spaced = [np.pad(strip, edges, constant_values=255) for strip in strips]
    return np.concatenate(spaced)[:-_GAP]


HEAD = ("pictures", "--noise", "test ELBO, nats", "per value", "active dimensions")


def main() -> None:
    """Train on both sets under each kind of noise, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--noises", nargs="+", default=list(_NOISES))
    parser.add_argument("--sheet", type=Path, help="the contact sheet to write")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    arguments = parser.parse_args()
    rows, strips = [], []
    for name in arguments.sets:
        for noise in arguments.noises:
            row, shown = measure(name, noise, arguments.epochs)
            rows.append(row)
            print(*row, sep="  ", flush=True)
            if noise == arguments.noises[0]:
                strips.append(shown)
    print(table(HEAD, rows))
    if arguments.sheet is not None:
        Image.fromarray(_stacked(strips)).save(arguments.sheet, optimize=True)
    if arguments.write:
        text = (
            f"{circumstances(('torch', 'numpy'))}\n\n{_CAPTION}\n\n{table(HEAD, rows)}"
        )
        write_section("Color pictures", text)


_CAPTION = (
    "Color pictures under a Gaussian likelihood, which is chosen for them: shapes of "
    "32 x 32 x 3, generated, and patches of 16 x 16 x 3 from the photographs of "
    "scikit-learn; 3,000 each, an MLP that starts as factor analysis."
)

if __name__ == "__main__":
    main()
