"""
Serve a mixture of requests for a long time, and check that nothing grows.

    python -m benchmarks.soak [--minutes 10] [--write]

Requests arrive at random times (Poisson) at 80 % of the rate of a closed loop. Most are
for one row: `/encode`, `/sample`, `/elbo` and `/decode` in JSON and binary. Some are
for hundreds of rows; a few are analyses, invalid requests, and clients that disconnect
before the response. Every few seconds the server's resident memory, threads and open
files are read.

After a warm-up, a quarter of the time, memory must grow by less than a MiB per minute
or 2 % over the whole time, whichever is more, by the Theil-Sen slope (Sen 1968): the
median of the slopes between all pairs of readings, which is robust against spikes. At
the end there must not be more threads and open files than during the warm-up. The
server has one core, the load another.
"""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple, final

import numpy as np
import uvloop

from benchmarks import checkpoints
from benchmarks.overload import Pool
from benchmarks.processes import cores
from benchmarks.results import circumstances, table, write_section
from benchmarks.service import Service
from benchmarks.sockets import load
from benchmarks.workload import (
    BINARY,
    JSON,
    NATIVE,
    Request,
    elbos,
    encodings,
    samples,
    unseen,
)
from model.vae import VAE

_CONNECTIONS = 128
_OF_BEST = 0.8
_READING_SECONDS = 5.0
_WARM_UP = 0.25  # of the whole time
_MIB_PER_MINUTE, _GROWTH = 1.0, 0.02
_CHECKED_EVERY = 97
_CUT_EVERY = 499
_ROWS_SHOWN = 12
_HEAD = ("minute", "memory, MiB", "threads", "open files", "answered", "others")


@final
class Reading(NamedTuple):
    """The resources of the server at a time in minutes."""

    minutes: float
    memory: float  # MiB
    threads: int
    files: int
    answered: int
    others: int


@final
class Traffic:
    """Requests in progress, and the outcomes of others."""

    def __init__(self, port: int, requests: Sequence[Request]) -> None:
        self._port = port
        self._requests = requests
        self._pool = Pool(port)
        self.statuses: Counter[int] = Counter()
        self.n_failed = 0

    async def flow(self, rate: float, seconds: float) -> None:
        """Let requests arrive; return once all are answered."""
        await self._pool.fill(_CONNECTIONS)
        rng = np.random.default_rng(0)
        start, due, number = perf_counter(), 0.0, 0
        tasks: set[asyncio.Task[None]] = set()
        while due < seconds:
            due += rng.exponential(1 / rate)
            if (ahead := start + due - perf_counter()) > 0:
                await asyncio.sleep(ahead)
            number += 1
            request = self._requests[int(rng.integers(len(self._requests)))]
            is_cut = number % _CUT_EVERY == 0
            one = self._cut(request) if is_cut else self._one(request, number)
            task = asyncio.ensure_future(one)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def _one(self, request: Request, number: int) -> None:
        try:
            status, body = await self._pool.ask(request.wire())
        except (OSError, asyncio.IncompleteReadError):
            self.n_failed += 1
            await self._pool.fill(1)
            return
        self.statuses[status] += 1
        if status == 200 and number % _CHECKED_EVERY == 0:
            request.check(body)

    async def _cut(self, request: Request) -> None:
        """Ask, and leave at once."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request.wire())
        await asyncio.sleep(0.001)
        writer.transport.abort()


def mixture(vae: VAE) -> list[Request]:
    """Return requests in the proportions of the mixture."""
    rows = [*encodings(vae, NATIVE, 1), *encodings(vae, BINARY, 1)]
    rows += [*samples(vae, 1), *elbos(vae, 1), *_decodings(vae)]
    many = [*encodings(vae, NATIVE, 256)[:1], *encodings(vae, BINARY, 512)[:1]]
    wrong = [
        replace(rows[0], body=b'{"x": [[1, 2', check=unseen),
        replace(rows[0], path="/nothing", check=unseen),
        replace(rows[0], media_type="text/plain", check=unseen),
    ]
    row = np.random.default_rng(0).integers(0, 2, vae.config.data_dim)
    body = json.dumps({"x": [row.tolist()], "n_samples": 4, "seed": 1}).encode()
    analysis = Request("/loglik", JSON, body, 1, unseen)
    return [*rows * 6, *many, *wrong, analysis]


def _decodings(vae: VAE) -> list[Request]:
    rng = np.random.default_rng(0)
    requests = []
    for _ in range(8):
        z = rng.standard_normal((1, vae.config.latent_dim)).round(4)
        body = json.dumps({"z": z.tolist()}).encode()
        requests.append(Request("/decode", JSON, body, 1, unseen))
    return requests


async def _soaked(
    service: Service, requests: Sequence[Request], *, rate: float, seconds: float
) -> tuple[list[Reading], Traffic]:
    """Send requests, and read the resources of the server in the meantime."""
    traffic = Traffic(service.port, requests)
    readings: list[Reading] = []
    flowing = asyncio.ensure_future(traffic.flow(rate, seconds))
    start = perf_counter()
    while not flowing.done():
        await asyncio.wait([flowing], timeout=min(_READING_SECONDS, seconds / 24))
        readings.append(_reading(service.process.pid, perf_counter() - start, traffic))
        _say(table(_HEAD, [_shown(readings[-1])]).rpartition("\n")[2])
    await flowing
    return readings, traffic


def _reading(pid: int, seconds: float, traffic: Traffic) -> Reading:
    status = Path(f"/proc/{pid}/status").read_text()
    answered = traffic.statuses[200]
    return Reading(
        minutes=seconds / 60,
        memory=int(status.partition("VmRSS:")[2].split()[0]) / 1024,
        threads=int(status.partition("Threads:")[2].split()[0]),
        files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        answered=answered,
        others=traffic.statuses.total() - answered,
    )


def slope(readings: Sequence[Reading]) -> float:
    """Return how fast memory grows, in MiB a minute (Sen 1968)."""
    pairs = combinations(readings, 2)
    return float(
        np.median([(b.memory - a.memory) / (b.minutes - a.minutes) for a, b in pairs])
    )


def faults(readings: Sequence[Reading]) -> list[str]:
    """Return the names of the resources that have grown."""
    n_warm = max(1, int(_WARM_UP * len(readings)))
    warm, steady = readings[:n_warm], readings[n_warm:]
    minutes = steady[-1].minutes - steady[0].minutes
    allowed = max(_MIB_PER_MINUTE, _GROWTH * steady[0].memory / minutes)
    found = []
    if (growth := slope(steady)) > allowed:
        found.append(f"memory grows by {growth:.2f} MiB a minute")
    for name in ("threads", "files"):
        most = max(getattr(reading, name) for reading in warm)
        last = getattr(steady[-1], name)
        if last > most:
            found.append(f"{name}: {last} at the end, at most {most} while warming up")
    return found


def _shown(reading: Reading) -> list[str]:
    return [
        f"{reading.minutes:.1f}",
        f"{reading.memory:.1f}",
        str(reading.threads),
        str(reading.files),
        f"{reading.answered:,}",
        f"{reading.others:,}",
    ]


def _text(readings: Sequence[Reading], traffic: Traffic, rate: float) -> str:
    found = faults(readings)
    if traffic.n_failed:
        found.append(f"{traffic.n_failed} requests were not answered")
    if defects := sum(n for status, n in traffic.statuses.items() if status >= 500):
        found.append(f"{defects} requests got a status of 500 or more")
    steady = readings[max(1, int(_WARM_UP * len(readings))) :]
    verdict = f"MISSED: {'; '.join(found)}." if found else "Nothing grows."
    told = ", ".join(
        f"{status}: {n:,}" for status, n in sorted(traffic.statuses.items())
    )
    every = -(-len(readings) // _ROWS_SHOWN)
    shown = [*readings[:-1:every], readings[-1]]
    return (
        f"{circumstances(['torch', 'onnxruntime', 'uvicorn'])} {rate:,.0f} requests/s, "
        f"{_OF_BEST:.0%} of the best rate. Answers by status: {told}. Memory: "
        f"{slope(steady):+.2f} MiB a minute after the warm-up. {verdict}\n\n"
        + table(_HEAD, [_shown(reading) for reading in shown])
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print, and write if requested; return 1 if anything has grown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    asked = parser.parse_args()
    server_core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    vae = checkpoints.digits()
    requests = mixture(vae)
    right = [request for request in requests if request.check is not unseen]
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = checkpoints.save(vae, folder / "digits")
        service = Service(model, folder, core=server_core, first=right[0])
        try:
            service.start()
            wires = [request.wire() for request in right]
            load(service.port, wires, connections=16, seconds=1)  # warm
            best = len(load(service.port, wires, connections=32, seconds=4).exchanges)
            rate = _OF_BEST * best / 4
            _say(f"{best / 4:,.0f} requests/s at best; {rate:,.0f} from now on")
            readings, traffic = uvloop.run(
                _soaked(service, requests, rate=rate, seconds=60 * asked.minutes)
            )
        finally:
            service.process.end()
    text = _text(readings, traffic, rate)
    print(text)
    if asked.write:
        write_section("Soak", text)
    return 1 if "MISSED" in text else 0


if __name__ == "__main__":
    sys.exit(main())
