"""
Measure what one core does by the size of the network, and what a second worker adds.

The first table is of the engine, without HTTP: rows per second of one thread, and the
cores that a load needs. The second is of the service with one worker and with two on
all cores of the machine, in turns, with the load on the same cores. Everything that the
machine does besides makes rates lower, so compare the ratios.
"""

import argparse
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.error import URLError

import numpy as np
import torch

from benchmarks.checkpoints import SEED, digits, images, save, untrained
from benchmarks.inprocess import calls_per_second
from benchmarks.load import Measurement, generator
from benchmarks.processes import ROOT
from benchmarks.results import circumstances, table, write_section
from benchmarks.servers import ask
from benchmarks.workload import BINARY, NATIVE, Request, encodings
from model.config import Mlp
from model.engine import Engine
from model.vae import VAE

_SECTION = "Scaling"
_LIBRARIES = ("torch", "onnxruntime", "fastapi", "uvicorn")
_ROWS = 1024  # of one call of the engine
_SECONDS_OF_A_DAY = 86_400
_ROWS_A_DAY = 10**9
# A load has peaks, and a queue grows without end where there is no reserve.
_PEAK, _USE = 3.0, 0.6
_START_SECONDS = 120.0


@dataclass(frozen=True, eq=False)
class Load:
    """What is asked of the service, on how many connections."""

    name: str
    requests: tuple[Request, ...]
    connections: int


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and write the section of the results; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of a measurement")
    parser.add_argument("--repeats", type=int, default=5, help="median of so many")
    parser.add_argument("--print-only", action="store_true", help="write no results")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        sizes = _sizes(Path(folder), options.seconds, options.repeats)
        workers = _workers(Path(folder), options.seconds, options.repeats)
    about = (
        f"{circumstances(_LIBRARIES)} Medians of {options.repeats} of "
        f"{options.seconds:g} s, in turns."
    )
    text = f"{about}\n\n{sizes}\n\n{workers}"
    print(text)
    if not options.print_only:
        write_section(_SECTION, text)
    return 0


def _networks() -> dict[str, VAE]:
    """Return networks from small to large, by their sizes in words."""
    return {
        "MLP 20-64-4": _mlp(20, (64,), 4),
        "MLP 784-500-20, the released one": digits(),
        "MLP 784-1000-1000-50": _mlp(784, (1000, 1000), 50),
        "MLP 4096-2000-2000-128": _mlp(4096, (2000, 2000), 128),
        "convolutions 64 x 64 x 3, 128": images(),
    }


def _mlp(data_dim: int, hidden: tuple[int, ...], latent_dim: int) -> VAE:
    layers = Mlp(kind="mlp", hidden=hidden, activation="relu")
    return untrained((data_dim,), latent_dim, layers)


def _sizes(folder: Path, seconds: float, repeats: int) -> str:
    """Return the table of rates per core, and of cores for a billion rows a day."""
    rng = np.random.default_rng(SEED)
    rows: list[tuple[str, ...]] = []
    for name, vae in _networks().items():
        path = save(vae, folder / f"network{len(rows)}")
        engine = Engine.load(path, device="cpu", backend="auto", n_threads=1)
        config = vae.config
        x = rng.random((_ROWS, config.data_dim), dtype=np.float32)
        z = rng.standard_normal((_ROWS, config.latent_dim), dtype=np.float32)
        # Bound now: the loop goes on to the next engine.
        calls = (lambda e=engine, x=x: e.encode(x), lambda e=engine, z=z: e.decode(z))
        runs = [
            [_ROWS * calls_per_second(c, seconds / 2) for c in calls]
            for _ in range(repeats)
        ]
        encode, decode = (median(column) for column in zip(*runs, strict=True))
        n_weights = sum(p.numel() for p in vae.parameters())
        rows.append(
            (
                name,
                f"{n_weights / 1e6:.3g}",
                f"{encode:,.0f}",
                f"{decode:,.0f}",
                f"{_cores(encode)}",
            )
        )
    head = (
        "network",
        "million weights",
        "encode, rows/s of a core",
        "decode, rows/s of a core",
        "cores for 10^9 rows a day",
    )
    note = (
        f"A billion rows a day are {_ROWS_A_DAY / _SECONDS_OF_A_DAY:,.0f} rows/s; the "
        f"cores are for a peak of {_PEAK:g} times that at {_USE:.0%} use."
    )
    return f"{table(head, rows)}\n\n{note}"


def _cores(rows_per_second: float) -> int:
    """Return how many cores encode a billion rows a day."""
    wanted = _PEAK * _ROWS_A_DAY / _SECONDS_OF_A_DAY
    return math.ceil(wanted / (_USE * rows_per_second))


def _workers(folder: Path, seconds: float, repeats: int) -> str:
    """Return the table of two workers against one."""
    vae = digits()
    path = save(vae, folder / "digits")
    loads = (
        Load("1 row, JSON", encodings(vae, NATIVE, 1), 16),
        Load("64 rows, JSON", encodings(vae, NATIVE, 64), 8),
        Load("1,024 rows, safetensors", encodings(vae, BINARY, 1024), 4),
    )
    with _served(path, 1, loads[0]) as one, _served(path, 2, loads[0]) as two:
        rows = [_compared(load, (one, two), seconds, repeats) for load in loads]
    head = ("requests", "connections", "1 worker", "2 workers", "rate, 2 / 1",
            "p99, 2 / 1")  # fmt: skip
    return table(head, rows)


def _compared(
    load: Load, ports: tuple[int, int], seconds: float, repeats: int
) -> tuple[str, ...]:
    """Load two servers in turns; return a line of the table."""
    measure = generator("auto")
    runs = [
        [measure(port, load.requests, load.connections, seconds) for port in ports]
        for _ in range(repeats)
    ]
    ratios = [(two.rows_per_second / one.rows_per_second, two.p99_ms / one.p99_ms)
              for one, two in runs]  # fmt: skip
    rate, p99 = (median(column) for column in zip(*ratios, strict=True))
    cells = [_figures([run[i] for run in runs]) for i in range(len(ports))]
    return (load.name, str(load.connections), *cells, f"{rate:.2f}", f"{p99:.2f}")


def _figures(runs: Sequence[Measurement]) -> str:
    rate = median(run.rows_per_second for run in runs)
    p99 = median(run.p99_ms for run in runs)
    return f"{rate:,.0f} rows/s, p99 {p99:.1f} ms"


@contextmanager
def _served(path: Path, n_workers: int, load: Load) -> Iterator[int]:
    """Start the service on all cores; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    settings = {
        "VAE_CHECKPOINT": str(path),
        "VAE_PORT": str(port),
        "VAE_WORKERS": str(n_workers),
        "VAE_LOG_LEVEL": "error",
        "VAE_DRAIN_DELAY": "0",
    }
    command = [sys.executable, "-m", "app"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.DEVNULL
    ) as server:
        try:
            _await_answer(port, load.requests[0])
            yield port
        finally:
            server.terminate()


def _await_answer(port: int, request: Request) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            request.check(ask(port, request))
            return
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
