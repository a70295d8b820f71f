"""
Train on color pictures with default options, and look at what comes out.

Two sets: shapes of 32 x 32 x 3, generated, and patches of 16 x 16 x 3 from the two
photographs of scikit-learn. The table has the test ELBO under each kind of noise; the
pictures of the default are kept.

    python -m benchmarks.pictures [--epochs 60] [--keep DIRECTORY] [--write]
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray

from benchmarks.results import circumstances, table, write_section
from model import checkpoint
from model.train.command import main as train

Pixels = NDArray[np.uint8]

_N = 3000
_NOISES = ("decoder", "value", "model")
_KEPT = ("reconstructions", "samples")


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


def measure(name: str, noise: str, epochs: int, keep: Path | None) -> list[str]:
    """Train once, and return a row of the table."""
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        np.save(where / f"{name}.npy", SETS[name]())
        words = ["--data", str(where / f"{name}.npy"), "--out", str(where / "run")]
        status = train([*words, "--noise", noise, "--epochs", str(epochs)])
        assert status == 0, f"training ended with status {status}"
        loaded = checkpoint.load(where / "run")
        for kind in _KEPT if keep is not None else ():
            assert keep is not None
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(where / "run" / f"{kind}.png", keep / f"{name}_{kind}.png")
        figures = {f.name: f for f in loaded.metrics.figures if f.split == "test"}
    n_values = loaded.config.data_dim
    elbo = figures["elbo"]
    return [
        name,
        noise,
        f"{elbo.value:.1f} ± {elbo.standard_error:.1f}",
        f"{elbo.value / n_values:.3f}",
        f"{figures['active_units'].value:.0f} of {loaded.config.latent_dim}",
    ]


HEAD = ("pictures", "--noise", "test ELBO, nats", "per value", "active dimensions")


def main() -> None:
    """Train on both sets under each kind of noise, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--noises", nargs="+", default=list(_NOISES))
    parser.add_argument(
        "--keep", type=Path, help="folder for the first noise's pictures"
    )
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:
        for noise in arguments.noises:
            keep = arguments.keep if noise == arguments.noises[0] else None
            rows.append(measure(name, noise, arguments.epochs, keep))
            print(*rows[-1], sep="  ", flush=True)
    print(table(HEAD, rows))
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
