"""
Encode a million rows of one file in four ways, side by side: time and memory.

    python -m benchmarks.million [--rows 1000000 --repeats 3 --ray PYTHON]

By file (`vae-encode`), by the Python client, by the Open Inference Protocol in binary,
and by Ray Data, in an environment that has the extra `ray`. Each way is a command, from
its start to its end; of the service, which the clients ask, the start does not count.
The engine's rate is that of a process on each core with rows in memory, just before and
after each way. The machine may have other work, so compare the ratios and processor
times. `--write` replaces the section of RESULTS.md.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from benchmarks import results
from benchmarks.bulk import BATCH, engine_rate, save_rows
from benchmarks.processes import ROOT, cpu_seconds, family, held_bytes
from model.engine import Engine
from model.machine import available_cores
from tests.app.processes import process
from vae_client import Client

_CHECKPOINT = ROOT / "released" / "mnist"
_V2_ROWS = 4096  # in a request
_CONNECTIONS = 2
_TIMEOUT = 600.0
_SAMPLED_SECONDS = 0.2
_TIMED, _CALLS = 15, 40  # of the engine, for its processor time
_ASK = "import sys; from benchmarks import million; million.by_{}(*sys.argv[1:])"


@final
class Run(NamedTuple):
    """
    One run of a way.

    Attributes:
        of_engine: Its rate, of the engine's around it.
        cpu_seconds: Of all its processes, and the service's.
        mib: What they held at most at a time, without pages of files.
    """

    seconds: float
    of_engine: float
    cpu_seconds: float
    mib: float


@final
class Watch:
    """The processor time and the memory of processes with their descendants."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._cpu_seconds: dict[int, float] = {}
        self.held = 0
        self.sample()
        self._before = sum(self._cpu_seconds.values())

    @property
    def cpu_seconds(self) -> float:
        """Since the first sample."""
        return sum(self._cpu_seconds.values()) - self._before

    def sample(self) -> None:
        """Look at the processes that there are now."""
        pids = [pid for one in self._pids for pid in family(one)]
        for pid in pids:  # of one that has ended, the last that was seen counts
            seen = self._cpu_seconds.get(pid, 0.0)
            self._cpu_seconds[pid] = max(seen, cpu_seconds(pid))
        self.held = max(self.held, sum(map(held_bytes, pids)))


def by_client(url: str, path: str) -> None:
    """Send the rows of a file by the Python client."""
    with Client(url) as vae:
        vae.encode(np.load(path, mmap_mode="r"))


def by_v2(url: str, path: str) -> None:
    """Send the rows of a file in binary tensors, over several connections."""
    x = np.load(path, mmap_mode="r")
    parts = [x[i : i + _V2_ROWS] for i in range(0, len(x), _V2_ROWS)]
    address = url.removeprefix("http://")

    def send(first: int) -> list[bytes]:
        connection = http.client.HTTPConnection(address, timeout=_TIMEOUT)
        found = [_inferred(connection, rows) for rows in parts[first::_CONNECTIONS]]
        connection.close()
        return found

    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        list(threads.map(send, range(_CONNECTIONS)))


def _inferred(connection: http.client.HTTPConnection, rows: NDArray[Any]) -> bytes:
    tensor = {
        "name": "x",
        "shape": rows.shape,
        "datatype": "UINT8",
        "parameters": {"binary_data_size": rows.nbytes},
    }
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    document = json.dumps(asked).encode()
    connection.request(
        "POST",
        "/v2/models/vae-encode/infer",
        document + rows.tobytes(),
        {"Inference-Header-Content-Length": str(len(document))},
    )
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, content[:500]
    return content


def engine_cpu_seconds(n_rows: int) -> float:
    """Return the processor time of the engine's products for so many rows."""
    engine = Engine.load(_CHECKPOINT, device="cpu", backend="auto", n_threads=1)
    x = np.random.default_rng(0).random(
        (BATCH, engine.checkpoint.config.data_dim), np.float32
    )
    times = []
    for _ in range(_TIMED):
        started = time.process_time()
        for _ in range(_CALLS):
            engine.encode(x)
        times.append(time.process_time() - started)
    return median(times) / (_CALLS * BATCH) * n_rows


def main() -> None:
    """Measure and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of the engine")
    parser.add_argument("--ray", metavar="PYTHON", help="one that has Ray")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    settings = {
        "VAE_CHECKPOINT": str(_CHECKPOINT),
        "VAE_THREADS": str(available_cores()),
    }
    with (
        tempfile.TemporaryDirectory() as name,
        process(settings) as (url, service),
    ):
        path = Path(name) / "x.npy"
        save_rows(path, options.rows, "uint8")
        commands = _commands(path, url, options.ray)
        runs: dict[str, list[Run]] = {way: [] for way in commands}
        engine = [engine_rate(available_cores(), options.seconds)]
        for _ in range(options.repeats):
            for way, command in commands.items():
                pids = (service.pid,) if url in command else ()
                seconds, watch = _watched(command, pids)
                engine.append(engine_rate(available_cores(), options.seconds))
                of_engine = options.rows / seconds / mean(engine[-2:])
                mib = watch.held / (1 << 20)
                runs[way].append(Run(seconds, of_engine, watch.cpu_seconds, mib))
    text = report(options, engine, engine_cpu_seconds(options.rows), runs)
    print(text)
    if options.write:
        results.write_section("A million rows", text)


def _commands(path: Path, url: str, ray: str | None) -> dict[str, list[str]]:
    """Return the ways and their commands; that of Ray only if there is a Python."""
    here, codes = sys.executable, path.with_name("codes")
    bulk = [here, "-m", "model.bulk", "encode", str(_CHECKPOINT), str(path)]
    commands = {
        "file, `vae-encode`": [*bulk, "--out", f"{codes}.npy"],
        "HTTP, Python client": [here, "-c", _ASK.format("client"), url, str(path)],
        "HTTP, V2 binary": [here, "-c", _ASK.format("v2"), url, str(path)],
    }
    if ray is not None:
        encode = [ray, "-m", "deploy.ray.encode", str(_CHECKPOINT), str(codes)]
        commands["Ray Data, one actor"] = [*encode, str(path), "--actors", "1"]
    return commands


def _watched(command: Sequence[str], pids: Sequence[int]) -> tuple[float, Watch]:
    """Run a command; return its time, and what it and other processes took."""
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}"}
    quiet = {"RAY_USAGE_STATS_ENABLED": "0"}
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **paths, **quiet},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        watch = Watch(running.pid, *pids)
        while running.poll() is None:
            watch.sample()
            time.sleep(_SAMPLED_SECONDS)
        seconds = time.perf_counter() - started
    assert running.returncode == 0, command
    return seconds, watch


def report(
    options: argparse.Namespace,
    engine: Sequence[float],
    cpu_seconds: float,
    runs: Mapping[str, list[Run]],
) -> str:
    """Return the section of RESULTS.md."""
    rate = f"{median(engine):,.0f}"
    lines: list[tuple[str, ...]] = [
        ("the engine alone", "", rate, "1", f"{cpu_seconds:.1f} s", "1", "")
    ]
    lines += [_line(way, runs[way], options.rows, cpu_seconds) for way in runs]
    how = f"medians of {options.repeats} runs in turns"
    how = how if options.repeats > 1 else "one run of each"
    head = ("way", "time", "rows/s", "of the engine", "processor time",
            "the engine's share", "memory")  # fmt: skip
    return (
        f"`python -m benchmarks.million --rows {options.rows} --repeats "
        f"{options.repeats}`; {results.circumstances(('numpy', 'onnxruntime'))} "
        f"Load average {os.getloadavg()[1]:.0f} at the end.\n\n"
        f"{options.rows:,} rows of 784 bytes; {how}. "
        f"Service and clients share {available_cores()} cores. The time is that "
        "of the whole command: loading libraries, and starting Ray, but not the "
        "service, which runs already. The engine's rate is that of a process on each "
        "core, around each run. Processor time and memory are those of all processes, "
        "the service and Ray's included; pages of files do not count as memory. The "
        "engine's share is its processor time for as many rows, measured right after "
        "the last way, of that of the way.\n\n"
        f"{results.table(head, lines)}"
    )


def _line(
    way: str, runs: Sequence[Run], n_rows: int, cpu_seconds: float
) -> tuple[str, ...]:
    """Return a line of the table; the processor time is the engine's for its rows."""
    seconds = median(run.seconds for run in runs)
    taken = median(run.cpu_seconds for run in runs)
    return (
        way,
        f"{seconds:.1f} s",
        f"{n_rows / seconds:,.0f}",
        f"{median(run.of_engine for run in runs):.2f}",
        f"{taken:.1f} s",
        f"{cpu_seconds / taken:.2f}",
        f"{max(run.mib for run in runs):,.0f} MiB",
    )


if __name__ == "__main__":
    main()
