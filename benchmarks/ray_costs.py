"""
Compare Ray Serve with the service alone, and Ray Data with the engine.

Run it where Ray is installed (extra `ray`). Both servers run the released model with
one thread and take turns. The machine may have other work, so compare the ratios.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import numpy as np
import ray
from ray import serve
from ray.serve.config import HTTPOptions

from app.configuration.serving import RELEASED
from benchmarks.processes import ROOT
from benchmarks.results import circumstances, table
from deploy.ray.encode import SLICE_ROWS, encoded, rows_of
from deploy.ray.service import RayOptions, app
from model.bulk.conversion import encode_block
from model.engine import Engine

_NPY = "application/x-npy"
_SAFETENSORS = "application/vnd.safetensors"
_ROWS, _MANY = 1, 16_000
_BULK = 1_000_000
_REPEATS = 3


def main() -> int:
    """Measure and print; return the exit status."""
    os.environ.update(VAE_THREADS="1", RAY_USAGE_STATS_ENABLED="0")
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    try:
        with _alone() as alone, _in_ray(folder) as in_ray:
            rows = [
                _row("1 row, one after another, ms", _small, (alone, in_ray)),
                _row("16,000 rows (50 MB), s", _large, (alone, in_ray)),
            ]
        rows.append(_bulk_row(folder))
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{circumstances(('ray', 'torch', 'onnxruntime'))}\n")
    print(table(("work", "without Ray", "with Ray", "ratio"), rows))
    return 0


def _row(
    name: str, measure: Callable[[int], float], ports: tuple[int, int]
) -> tuple[str, ...]:
    """Measure both in turns; return a line of the table."""
    runs = [[measure(port) for port in ports] for _ in range(_REPEATS)]
    one, other = (median(column) for column in zip(*runs, strict=True))
    ratio = median(b / a for a, b in runs)
    return name, f"{one:.3g}", f"{other:.3g}", f"{ratio:.2f}"


def _small(port: int) -> float:
    """Return the median time of a request of one row, in milliseconds."""
    return 1e3 * median(_times(port, _ROWS, 200))


def _large(port: int) -> float:
    """Return the time of a request of many rows, in seconds."""
    return median(_times(port, _MANY, 3))


def _times(port: int, n_rows: int, n: int) -> list[float]:
    body = io.BytesIO()
    np.save(body, np.zeros((n_rows, 784), np.float32))
    headers = {"Content-Type": _NPY, "Accept": _SAFETENSORS}
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    found = []
    for _ in range(n + 1):
        started = time.perf_counter()
        connection.request("POST", "/encode", body.getvalue(), headers)
        response = connection.getresponse()
        response.read()
        found.append(time.perf_counter() - started)
        assert response.status == 200
    connection.close()
    return found[1:]  # the first opens the connection


def _bulk_row(folder: Path) -> tuple[str, ...]:
    """Encode a file with the engine and with Ray Data; return a line of the table."""
    file = folder / "x.npy"
    x = np.random.default_rng(0).integers(0, 256, (_BULK, 784), dtype=np.uint8)
    np.save(file, x)
    engine = Engine.load(RELEASED, device="cpu", backend="auto", n_threads=1)
    started = time.perf_counter()
    for start in range(0, _BULK, SLICE_ROWS):
        encode_block(engine, x[start : start + SLICE_ROWS])
    alone = _BULK / (time.perf_counter() - started)
    started = time.perf_counter()
    result = encoded(rows_of([str(file)]), str(RELEASED), n_actors=1)
    result.write_parquet(str(folder / "codes"))
    in_ray = _BULK / (time.perf_counter() - started)
    name = f"{_BULK:,} rows of a file, 1 actor against 1 thread, rows/s"
    return name, f"{alone:,.0f}", f"{in_ray:,.0f}", f"{in_ray / alone:.2f}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def _alone() -> Iterator[int]:
    """Start the service; yield its port."""
    port = _free_port()
    settings = {"VAE_PORT": str(port), "VAE_DRAIN_DELAY": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            while not server.stdout.readline().startswith("listening on "):
                pass
            yield port
        finally:
            server.terminate()


@contextmanager
def _in_ray(folder: Path) -> Iterator[int]:
    """Start Ray Serve with one replica; yield its port."""
    port = _free_port()
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=1 << 30,
        logging_level="warning",
        _temp_dir=str(folder),
    )
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
    serve.run(app(RayOptions(max_replicas=1, num_cpus=0.5)), name="vae")
    try:
        yield port
    finally:
        serve.shutdown()


if __name__ == "__main__":
    sys.exit(main())
