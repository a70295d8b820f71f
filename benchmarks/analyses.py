"""
Time the analyses of a checkpoint, relative to the matrix products that they need.

    python -m benchmarks.analyses --data-dir DATA [--write]

F is the time of the decoder's matrix products for 5,000 draws, on one core, in the same
run. Figures are multiples of F, so that they are comparable between machines. Times are
processor times, which other processes affect little.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.results import circumstances, table, write_section
from model import checkpoint
from model.files import idx
from model.inference import analyses
from model.inference.effort import Effort
from model.vae import VAE

_DRAWS, _PORTION = 5000, 1000
_ROWS = (1, 8, 64)
_SEED = 1
_DEFAULT = Effort.adaptive(target=0.02, budget=8192)
Call = Callable[[Tensor], object]


def calls(vae: VAE) -> dict[str, tuple[Call, float]]:
    """Return the calls to time, each with its bar in units of F."""

    def plain(x: Tensor) -> object:
        return [_plain_bound(vae, one) for one in torch.split(x, 1)]

    return {
        "L_5000 in plain torch": (plain, math.inf),
        "`/loglik`, K = 5000": (
            lambda x: analyses.evidence(vae, x, Effort.fixed(_DRAWS), seed=_SEED),
            1.5,
        ),
        "`/loglik`": (lambda x: analyses.evidence(vae, x, _DEFAULT, seed=_SEED), 3.2),
        "`/refine`": (lambda x: analyses.refine(vae, x, seed=_SEED), 1.8),
        "`/gap`": (
            lambda x: analyses.gaps(vae, x, target=0.02, budget=8192, seed=_SEED),
            4.4,
        ),
        "`/loglik` with `upper`": (
            lambda x: analyses.bracket(vae, x, _DEFAULT, seed=_SEED),
            7.0,
        ),
    }


def speed(vae: VAE, x: Tensor, sizes: tuple[int, ...]) -> str:
    """Return a table of milliseconds a row, and of multiples of F."""
    lines = []
    for name, (call, bar) in calls(vae).items():
        floors, times = [], {}
        for n in sizes:
            floors.append(_floor(vae))
            times[n] = _seconds(partial(call, x[:n])) / n
            floors.append(_floor(vae))
        ratio = times[8 if 8 in times else sizes[0]] / float(np.mean(floors))
        lines.append(
            [
                name,
                *(f"{1000 * times[n]:.0f}" for n in sizes),
                f"{ratio:.2f}",
                "" if math.isinf(bar) else f"{bar}: {_verdict(ratio, bar)}",
            ]
        )
        print(lines[-1], flush=True)
    head = ["", *(f"ms a row, of {n}" for n in sizes), "times F", "bar"]
    return f"F = {1000 * float(np.mean(floors)):.0f} ms.\n\n" + table(head, lines)


def mnist_rows(data_dir: Path, n: int) -> Tensor:
    """Return n or a few more test images of MNIST, binarized at 1/2, (N, D)."""
    file = "t10k-images-idx3-ubyte.gz"
    images = idx.parse(idx.read(data_dir / file), file=file)
    gray = torch.tensor(images.reshape(len(images), -1)[:: len(images) // n])
    return (gray >= 128).float()


def main() -> None:
    """Measure, print, and write if requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("released/mnist"))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=_ROWS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    vae = checkpoint.load(options.checkpoint).vae
    text = (
        f"{circumstances(['torch', 'numpy'])}\n\nProcessor time on one core, of the "
        f"released model of MNIST; test rows, binarized at 1/2. "
        + speed(vae, mnist_rows(options.data_dir, 64), tuple(options.rows))
    )
    print(text)
    if options.write:
        write_section("Analyses", text)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


@torch.no_grad()
def _floor(vae: VAE) -> float:
    """Return F: the products of 5,000 draws with the decoder's matrices."""
    layers = [m for m in vae.decoder.modules() if isinstance(m, nn.Linear)]
    inputs = [torch.randn(_PORTION, layer.in_features) for layer in layers]

    def products() -> None:
        for _ in range(_DRAWS // _PORTION):
            for layer, h in zip(layers, inputs, strict=True):
                layer(h)

    products()
    return float(np.mean([_seconds(products) for _ in range(3)]))


@torch.no_grad()
def _plain_bound(vae: VAE, x: Tensor) -> Tensor:
    """Return L_5000 of one row as a loop over portions computes it."""
    q_z = vae.encode(x)
    log_weights = []
    for _ in range(_DRAWS // _PORTION):
        z = q_z.reparameterize(torch.randn(_PORTION, 1, vae.config.latent_dim))
        log_weights.append(
            vae.decode(z).log_prob(x) + vae.p_z.log_prob(z) - q_z.log_prob(z)
        )
    return torch.logsumexp(torch.cat(log_weights), dim=0) - math.log(_DRAWS)


def _verdict(value: float, bar: float) -> str:
    return "met" if value <= bar else "MISSED"


if __name__ == "__main__":
    main()
