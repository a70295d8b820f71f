"""
Compare log p(x) of test images, as `/loglik` estimates it, with a long reference run.

    python -m benchmarks.reference --data-dir DATA [--n 200] [--write]

The reference takes 200,000 draws from modes that are searched again under another seed.
Its standard error is printed too. It takes about 4 s of processor time per image.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.analyses import mnist_rows
from benchmarks.results import circumstances, table, write_section
from model import checkpoint
from model.inference.evidence import log_evidence
from model.vae import VAE

_TARGET, _BUDGET = 0.02, 8192  # the defaults of `/loglik`
_REFERENCE_DRAWS = 200_000
_SEED, _REFERENCE_SEED = 1, 2
_SHARE, _OFF = 0.8, 0.05  # the bars


class Compared(NamedTuple):
    """The estimate of one image, its reference, and their standard errors, in nats."""

    value: float
    standard_error: float
    is_reliable: bool
    reference: float
    reference_error: float
    reference_is_reliable: bool
    seconds: float


def compared(vae: VAE, x: Tensor, position: int) -> Compared:
    """Estimate log p(x) of one image, (1, D), twice."""
    begun = time.process_time()
    short = log_evidence(
        vae, x, target=_TARGET, budget=_BUDGET, seed=_SEED, first=position
    )
    seconds = time.process_time() - begun
    long = log_evidence(
        vae,
        x,
        target=0.0,
        budget=_REFERENCE_DRAWS,
        seed=_REFERENCE_SEED,
        first=position,
    )
    return Compared(
        value=float(short.bound.value),
        standard_error=float(short.bound.standard_error),
        is_reliable=bool(short.is_reliable),
        reference=float(long.bound.value),
        reference_error=float(long.bound.standard_error),
        reference_is_reliable=bool(long.is_reliable),
        seconds=seconds,
    )


def report(found: list[Compared]) -> str:
    """Return the figures of all images as a table."""
    values = (np.array(column) for column in zip(*found, strict=True))
    columns = dict(zip(Compared._fields, values, strict=True))
    trusted = columns["is_reliable"]
    off = columns["value"] - columns["reference"]
    errors = np.hypot(columns["standard_error"], columns["reference_error"])
    ratio = np.abs(off / errors)[trusted]
    share, mean_off = trusted.mean(), np.abs(off).mean()
    rows = [
        [
            "called reliable",
            f"{share:.1%}",
            f"{_SHARE:.0%}: {_verdict(share >= _SHARE)}",
        ],
        [
            "mean distance to the reference, all rows",
            f"{mean_off:.4f} nats",
            f"{_OFF} nats: {_verdict(mean_off <= _OFF)}",
        ],
        ["the same, reliable rows", f"{np.abs(off[trusted]).mean():.4f} nats", ""],
        ["mean difference, all rows", f"{off.mean():+.4f} nats", ""],
        ["largest distance, all rows", f"{np.abs(off).max():.3f} nats", ""],
        ["reliable rows within 2 SE of both", f"{(ratio <= 2).mean():.1%}", ""],
        ["reliable rows within 3 SE of both", f"{(ratio <= 3).mean():.1%}", ""],
        ["mean SE", f"{np.mean(columns['standard_error']):.4f} nats", ""],
        [
            "mean SE of the reference",
            f"{np.mean(columns['reference_error']):.4f} nats",
            "",
        ],
        [
            "references called reliable",
            f"{np.mean(columns['reference_is_reliable']):.1%}",
            "",
        ],
        ["median time", f"{1000 * np.median(columns['seconds']):.0f} ms a row", ""],
    ]
    return table(["", "found", "bar"], rows)


def main() -> None:
    """Measure, print, and write if requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("released/mnist"))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    vae = checkpoint.load(options.checkpoint).vae
    x = mnist_rows(options.data_dir, options.n)[: options.n]
    found = []
    for i, one in enumerate(torch.split(x, 1)):
        found.append(compared(vae, one, i))
        if (i + 1) % 20 == 0:
            print(f"{i + 1} images\n{report(found)}", flush=True)
    text = (
        f"{circumstances(['torch', 'numpy'])}\n\n{len(x)} test images of MNIST at even "
        "distances, binarized at 1/2, by the released model. `/loglik` as asked by "
        f"default, and a reference of {_REFERENCE_DRAWS:,} draws from modes that are "
        f"searched again under another seed.\n\n{report(found)}"
    )
    print(text)
    if options.write:
        write_section("log p(x) of the released model", text)


def _verdict(is_met: object) -> str:
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    main()
