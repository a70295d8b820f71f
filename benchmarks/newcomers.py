"""
Measure how soon an analysis begins while clients keep others running.

    python -m benchmarks.newcomers [--clients 4 8] [--seconds 15] [--write]

Clients request an analysis of 8 rows of the released model of MNIST, again and again.
One newcomer requests the same analysis of one row, another the bound L_64. The wait is
what `Server-Timing` calls `queue`: the time until the first turn. The server has one
core, the load another. Rows are counted per second of the server's processor time.
"""

import argparse
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np

from benchmarks.processes import ROOT, Process, cores
from benchmarks.results import circumstances, table, write_section

_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "`/loglik`": ("/loglik", {}),
    "`/loglik` with `upper`": ("/loglik", {"upper": True}),
    "`/gap`": ("/gap", {}),
    "`/refine`": ("/refine", {}),
    "`/impute`": ("/impute", {}),
}
_SMALL = {"n_samples": 64}  # the bound L_64
_PORT = 8797
_BASE = f"http://127.0.0.1:{_PORT}"
_N_ROWS, _N_PIXELS = 8, 784
_MASK = [1.0] * (_N_PIXELS // 2) + [0.0] * (_N_PIXELS // 2)
_BAR_SECONDS = 1.0
_PAUSE_SECONDS = 0.2  # between newcomers
_QUEUE = re.compile(r"queue;dur=([\d.]+)")
_HEAD = (
    *("analysis", "clients", "newcomers", "median wait", "longest wait"),
    *(f"bar {_BAR_SECONDS:g} s", "rows/s", "share of the core", "memory, MiB"),
)
Images = list[list[float]]


@dataclass
class Busy:
    """What clients and newcomers found."""

    waits: list[float] = field(default_factory=list)  # in seconds
    n_rows: int = 0


def document(name: str, x: Images) -> dict[str, Any]:
    """Return the request for an analysis of x."""
    mask = {"mask": [_MASK] * len(x)} if name == "`/impute`" else {}
    return {"x": x, "seed": 1, **_CALLS[name][1], **mask}


def keep_busy(name: str, x: Images, n_clients: int, seconds: float) -> Busy:
    """Run clients for so many seconds, and two newcomers, who come back each time."""
    busy, end, lock = Busy(), time.monotonic() + seconds, threading.Lock()
    path = _CALLS[name][0]

    def repeat() -> None:
        with httpx.Client(base_url=_BASE, timeout=3600) as client:
            while time.monotonic() < end:
                client.post(path, json=document(name, x)).raise_for_status()
                with lock:
                    busy.n_rows += len(x)

    def arrive(path: str, asked: dict[str, Any]) -> None:
        with httpx.Client(base_url=_BASE, timeout=3600) as newcomer:
            while time.monotonic() < end:
                time.sleep(_PAUSE_SECONDS)
                response = newcomer.post(path, json=asked).raise_for_status()
                found = _QUEUE.search(response.headers["server-timing"])
                assert found is not None
                with lock:
                    busy.waits.append(float(found[1]) / 1000)
                    busy.n_rows += 1

    threads = [threading.Thread(target=repeat) for _ in range(n_clients)]
    for asked in ((path, document(name, x[:1])), ("/loglik", {**_SMALL, "x": x[:1]})):
        threads.append(threading.Thread(target=arrive, args=asked))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return busy


def line(
    server: Process, name: str, x: Images, n_clients: int, seconds: float
) -> list[str]:
    """Measure one analysis with so many clients; return a line of the table."""
    begun, used = time.monotonic(), server.cpu_seconds()
    busy = keep_busy(name, x, n_clients, seconds)
    used = server.cpu_seconds() - used
    longest = max(busy.waits)
    return [
        name,
        str(n_clients),
        str(len(busy.waits)),
        f"{np.median(busy.waits):.2f} s",
        f"{longest:.2f} s",
        "met" if longest < _BAR_SECONDS else "MISSED",
        f"{busy.n_rows / used:.1f}",
        f"{used / (time.monotonic() - begun):.0%}",
        f"{server.resident_bytes() / 2**20:.0f}",
    ]


def await_ready(server: Process) -> None:
    """Wait until the service is ready."""
    while True:
        server.check_runs()
        try:
            httpx.get(f"{_BASE}/readyz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return


def main() -> None:
    """Measure, print, and write if requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "released/mnist")
    parser.add_argument("--clients", type=int, nargs="+", default=(4, 8))
    parser.add_argument("--calls", nargs="+", choices=_CALLS, default=list(_CALLS))
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    environment = {
        "VAE_CHECKPOINT": str(options.checkpoint),
        "VAE_PORT": str(_PORT),
        "VAE_THREADS": "1",
        "VAE_LOG_LEVEL": "warning",
        "VAE_REQUEST_TIMEOUT": "3600",
    }
    command, lines = [sys.executable, "-m", "app"], []
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        core, other = cores()
        os.sched_setaffinity(0, {other})
        server = Process(command, core=core, environment=environment, log=log)
        try:
            await_ready(server)
            drawn = httpx.get(f"{_BASE}/sample?n={_N_ROWS}&seed=1&draw=sample").json()
            x = np.reshape(drawn["x"], (_N_ROWS, -1)).tolist()
            for name in options.calls:
                for n in options.clients:
                    lines.append(line(server, name, x, n, options.seconds))
                    print(lines[-1], flush=True)
        finally:
            server.end()
    text = (
        f"{circumstances(['torch', 'numpy'])}\n\nThe released model of MNIST, a server "
        "on one core. Clients keep requesting an analysis of 8 rows; newcomers request "
        "the same of one row, and the bound L_64. The wait is the time until the first "
        "turn; rows are per second of processor time, all requests together; memory is "
        f"that in use at the end.\n\n{table(_HEAD, lines)}"
    )
    print(text)
    if options.write:
        write_section("Newcomers among analyses", text)


if __name__ == "__main__":
    main()
