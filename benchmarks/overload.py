"""
Measure the service under more load than it can handle.

    python -m benchmarks.overload [--seconds 8] [--queue-rows 64] [--write]

Requests with one image for a convolutional network arrive at random times (Poisson), at
0.5, 1, 2 and 4 times the rate of a closed loop, whether or not the earlier ones are
answered. Probes call `/livez` ten times a second. A request that finds no free
connection waits for one, and its latency counts from its arrival. In the last row, 40
more clients have requested 1,024 images each and read nothing. After they disconnect,
memory must be at most a fifth above what it was before. The server has one core, the
load another.
"""

import argparse
import asyncio
import os
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np
import uvloop

from benchmarks import checkpoints
from benchmarks.processes import cores
from benchmarks.results import circumstances, table, write_section
from benchmarks.servers import SERVERS, Running, running
from benchmarks.sockets import load
from benchmarks.workload import BINARY, Request, encodings

FACTORS = (0.5, 1.0, 2.0, 4.0)
NAME = "ours, images"
_CONNECTIONS = 256
_PROBE_SECONDS = 0.1
_N_UNREAD = 40
_LONG = b"GET /sample?n=1024&seed=%d HTTP/1.1\r\nHost: a\r\n\r\n"
_FREED_SECONDS = 3.0
_MOST_GROWTH = 1.2
_HEAD = (
    *("offered", "arrivals/s", "answered/s", "of best", "p50, ms", "p99, ms"),
    *("429", "lost", "livez p99, ms", "memory, MiB"),
)


@dataclass
class Outcome:
    """The outcomes of the requests at one rate."""

    n_arrived: int = 0
    latencies: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


class Pool:
    """Keep-alive connections that requests wait for."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        self._free = asyncio.Queue()

    async def fill(self, n: int) -> None:
        """Open so many connections."""
        for _ in range(n):
            self._free.put_nowait(
                await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
            )

    async def ask(self, wire: bytes) -> tuple[int, bytes]:
        """Send a request over a free connection; return status and body."""
        reader, writer = connection = await self._free.get()
        writer.write(wire)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        self._free.put_nowait(connection)
        return int(head[9:12]), body


async def offer(
    port: int, requests: Sequence[Request], *, rate: float, seconds: float
) -> Outcome:
    """Send requests at a rate; return their outcomes when all are done."""
    outcome, pool = Outcome(), Pool(port)
    await pool.fill(_CONNECTIONS)
    arrivals = np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))
    probing = asyncio.ensure_future(_probe(port, outcome))
    start, due, tasks = perf_counter(), 0.0, []
    for number, wait in enumerate(arrivals):
        due += wait
        if (ahead := start + due - perf_counter()) > 0:
            await asyncio.sleep(ahead)
        request = requests[number % len(requests)]
        tasks.append(asyncio.ensure_future(_one(pool, request, outcome, start + due)))
    outcome.n_arrived = len(tasks)
    await asyncio.gather(*tasks)
    probing.cancel()
    return outcome


async def _one(pool: Pool, request: Request, outcome: Outcome, arrived: float) -> None:
    try:
        status, body = await pool.ask(request.wire())
    except (OSError, asyncio.IncompleteReadError) as error:
        outcome.others[type(error).__name__] += 1
        return
    if status != 200:
        outcome.others[str(status)] += 1
        return
    outcome.latencies.append(perf_counter() - arrived)
    if len(outcome.latencies) % 97 == 0:
        request.check(body)


async def _probe(port: int, outcome: Outcome) -> None:
    pool = Pool(port)
    await pool.fill(1)
    while True:
        start = perf_counter()
        await pool.ask(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        outcome.probes.append(perf_counter() - start)
        await asyncio.sleep(_PROBE_SECONDS)


def _row(
    name: str, outcome: Outcome, *, seconds: float, best: float, memory: int
) -> list[str]:
    p50, p99 = 1e3 * np.quantile(outcome.latencies, (0.5, 0.99))
    refused = outcome.others.pop("429", 0)
    answered = len(outcome.latencies) / seconds
    return [
        name,
        f"{outcome.n_arrived / seconds:,.0f}",
        f"{answered:,.0f}",
        f"{answered / best:.0%}",
        f"{p50:,.0f}",
        f"{p99:,.0f}",
        f"{refused:,}",
        str(dict(outcome.others)) if outcome.others else "0",
        f"{1e3 * np.quantile(outcome.probes, 0.99):,.0f}",
        f"{memory / 2**20:,.0f}",
    ]


def _unread(port: int) -> list[socket.socket]:
    """Return connections with long responses that are not read."""
    clients = []
    for seed in range(_N_UNREAD):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        client.sendall(_LONG % seed)
        assert client.recv(12)[9:] in {b"200", b"429"}
        clients.append(client)
    return clients


def _measured(
    server: Running, requests: Sequence[Request], seconds: float
) -> list[list[str]]:
    wires = [request.wire() for request in requests]
    load(server.port, wires, connections=16, seconds=2)  # warm
    traffic = load(server.port, wires, connections=32, seconds=seconds)
    best = len(traffic.exchanges) / seconds
    rows = []

    def offered(factor: float) -> tuple[Outcome, float]:
        started = perf_counter()
        outcome = uvloop.run(
            offer(server.port, requests, rate=factor * best, seconds=seconds)
        )
        return outcome, perf_counter() - started

    for factor in FACTORS:
        outcome, took = offered(factor)
        memory = server.process.resident_bytes()
        name = f"{factor:g} x"
        rows.append(_row(name, outcome, seconds=took, best=best, memory=memory))
    before, clients = server.process.resident_bytes(), _unread(server.port)
    outcome, took = offered(FACTORS[0])
    for client in clients:
        client.close()
    sleep(_FREED_SECONDS)
    memory = server.process.resident_bytes()
    assert memory <= _MOST_GROWTH * before, "memory is not given back"
    name = f"{FACTORS[0]:g} x, {_N_UNREAD} never read"
    rows.append(_row(name, outcome, seconds=took, best=best, memory=memory))
    return rows


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each rate")
    parser.add_argument(
        "--queue-rows", type=int, default=65_536, help="VAE_MAX_QUEUE_ROWS"
    )
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    asked = parser.parse_args()
    server_core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    vae = checkpoints.images()
    requests = encodings(vae, BINARY, 1)
    with TemporaryDirectory() as folder:
        models = Path(folder)
        checkpoints.save(vae, models / SERVERS[NAME].model)
        with running(
            NAME,
            models=models,
            folder=models,
            core=server_core,
            first=requests[0],
            environment={"VAE_MAX_QUEUE_ROWS": str(asked.queue_rows)},
        ) as server:
            rows = _measured(server, requests, asked.seconds)
    text = (
        f"{circumstances(['torch', 'onnxruntime', 'uvicorn'])}\n\n{table(_HEAD, rows)}"
    )
    sys.stdout.write(f"{text}\n")
    if asked.write:
        write_section("Overload", text)


if __name__ == "__main__":
    main()
