"""
The same network without HTTP: rows per second of a loop around the encoder.

Reads seconds, one number per line, and answers each with rows per second.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from model import checkpoint
from model.engine import Engine


def torch_eager(path: Path, n_rows: int) -> Callable[[], object]:
    """Return a call of the encoder in torch."""
    vae = checkpoint.load(path).vae
    x = torch.rand(n_rows, vae.config.data_dim)

    @torch.inference_mode()
    def encode() -> object:
        return vae.encode(x)

    return encode


def engine(path: Path, n_rows: int) -> Callable[[], object]:
    """Return a call of the service's engine."""
    loaded = Engine.load(path, device="cpu", backend="auto", n_threads=1)
    shape = (n_rows, loaded.checkpoint.config.data_dim)
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    return lambda: loaded.encode(x)


_WAYS = {"torch": torch_eager, "engine": engine}


def main() -> None:
    """Measure for each line of input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=_WAYS, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encode = _WAYS[options.way](options.checkpoint, options.rows)
    for line in sys.stdin:
        rate = calls_per_second(encode, float(line))
        print(options.rows * rate, flush=True)


def calls_per_second(call: Callable[[], object], seconds: float) -> float:
    """Call repeatedly for this time."""
    started = perf_counter()
    n_calls = 0
    while (elapsed := perf_counter() - started) < seconds:
        call()
        n_calls += 1
    return n_calls / elapsed


if __name__ == "__main__":
    main()
