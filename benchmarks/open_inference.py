"""
Encode a million rows over HTTP: the Open Inference Protocol beside safetensors.

    python -m benchmarks.open_inference [--rows 1000000 --repeats 3 --clients 2]

The same rows are sent to `/encode` as safetensors, and to `/v2/models/vae-encode/infer`
as binary tensors, in turns. `--write` replaces the section of RESULTS.md.
"""

import argparse
import http.client
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save

from benchmarks import results
from benchmarks.processes import ROOT, resident_bytes
from model.machine import available_cores
from tests.app.processes import process

_ROWS = 4096  # in a request
_SECONDS = 120.0
_DIM = 784
_SAFETENSORS = "application/vnd.safetensors"


class Way(NamedTuple):
    """One request, sent again and again."""

    name: str
    path: str
    body: bytes
    headers: Mapping[str, str]


class Passed(NamedTuple):
    """What it took to send all rows: the rate, and the memory of the service."""

    rows_per_second: float
    resident_mib: float


def ways() -> tuple[Way, Way]:
    """Return the native request, and that of the protocol, for the same rows."""
    x = np.random.default_rng(0).random((_ROWS, _DIM), np.float32)
    tensor = {
        "name": "x",
        "shape": [_ROWS, _DIM],
        "datatype": "FP32",
        "parameters": {"binary_data_size": x.nbytes},
    }
    parameters = {"binary_data_output": True}
    document = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    native = {"Content-Type": _SAFETENSORS, "Accept": _SAFETENSORS}
    length = {"Inference-Header-Content-Length": str(len(document))}
    path = "/v2/models/vae-encode/infer"
    return (
        Way("safetensors to `/encode`", "/encode", save({"x": x}), native),
        Way("V2, binary tensors", path, document + x.tobytes(), length),
    )


def sent(address: str, way: Way, n: int) -> None:
    """Send a request n times on one connection."""
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    for _ in range(n):
        connection.request("POST", way.path, way.body, dict(way.headers))
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, content[:500]
    connection.close()


def passed(address: str, pid: int, way: Way, n: int, n_clients: int) -> Passed:
    """Send n requests over several connections."""
    shares = [len(range(i, n, n_clients)) for i in range(n_clients)]
    started = perf_counter()
    with ThreadPoolExecutor(n_clients) as threads:
        list(threads.map(lambda share: sent(address, way, share), shares))
    rate = n * _ROWS / (perf_counter() - started)
    return Passed(rate, resident_bytes(pid) / (1 << 20))


def main() -> None:
    """Measure and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    n = -(-options.rows // _ROWS)
    settings = {
        "VAE_CHECKPOINT": str(ROOT / "released" / "mnist"),
        "VAE_THREADS": str(available_cores()),
    }
    both = ways()
    runs: dict[str, list[Passed]] = {way.name: [] for way in both}
    with process(settings) as (url, running):
        address = url.removeprefix("http://")
        for way in both:
            sent(address, way, 2)
        for _ in range(options.repeats):
            for way in both:
                measured = passed(address, running.pid, way, n, options.clients)
                runs[way.name].append(measured)
    text = report(options, n * _ROWS, runs)
    print(text)
    if options.write:
        results.write_section("Open Inference Protocol", text)


def report(
    options: argparse.Namespace, n_rows: int, runs: Mapping[str, Sequence[Passed]]
) -> str:
    """Return the section of RESULTS.md."""
    native, _ = runs.values()
    base = median(run.rows_per_second for run in native)
    rows = []
    for name, measured in runs.items():
        rate = median(run.rows_per_second for run in measured)
        memory = max(run.resident_mib for run in measured)
        seconds = f"{n_rows / rate:.1f} s"
        ratio = f"{rate / base:.2f}"
        rows.append((name, f"{rate:,.0f}", seconds, ratio, f"{memory:.0f} MiB"))
    head = ("way", "rows/s", "all rows", "of safetensors", "memory at most")
    return (
        f"`python -m benchmarks.open_inference --rows {options.rows}`; "
        f"{results.circumstances(('numpy', 'onnxruntime'))}\n\n"
        f"{n_rows:,} rows of MNIST's width in requests of {_ROWS:,}, over "
        f"{options.clients} connections; service and clients share "
        f"{available_cores()} cores. Medians of {options.repeats} runs in turns.\n\n"
        f"{results.table(head, rows)}"
    )


if __name__ == "__main__":
    main()
