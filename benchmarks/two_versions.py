"""
Compare the speed of two versions of the service, in turns on one core.

    python -m benchmarks.two_versions PATH_TO_ANOTHER_CHECKOUT [--seconds 2 --repeats 7]

Each case sends the same requests to both. While one is measured the other is stopped.
The ratio is that of the medians; above 1 this version is the faster one.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import checkpoints, sockets
from benchmarks.processes import ROOT, cores
from benchmarks.same_responses import Server
from benchmarks.workload import BINARY, NATIVE, Dialect, Request, encodings
from model.vae import VAE


class SpeedCase(NamedTuple):
    """Requests of so many rows, over so many connections."""

    name: str
    dialect: Dialect
    n_rows: int
    connections: int


CASES = (
    SpeedCase("json-1x16", NATIVE, 1, 16),
    SpeedCase("json-1x1", NATIVE, 1, 1),
    SpeedCase("json-32x4", NATIVE, 32, 4),
    SpeedCase("binary-1x64", BINARY, 1, 64),
    SpeedCase("binary-4096", BINARY, 4096, 1),
)


def measured(
    server: Server, requests: Sequence[Request], n: int, seconds: float
) -> float:
    """Return the requests per second of a server while the other is stopped."""
    server.signal(signal.SIGCONT)
    wires = [request.wire() for request in requests]
    sockets.load(server.port, wires, connections=n, seconds=0.3)
    traffic = sockets.load(server.port, wires, connections=n, seconds=seconds)
    for answer in traffic.kept:
        requests[answer.number].check(answer.body)
    server.signal(signal.SIGSTOP)
    return len(traffic.exchanges) / traffic.seconds


def compare(
    case: SpeedCase, servers: Sequence[Server], vae: VAE, options: argparse.Namespace
) -> None:
    """Print the rates of both versions and their ratio."""
    requests = encodings(vae, n_rows=case.n_rows, dialect=case.dialect)
    rates: list[list[float]] = [[], []]
    for _ in range(options.repeats):
        for server, found in zip(servers, rates, strict=True):
            found.append(measured(server, requests, case.connections, options.seconds))
    other, this = map(statistics.median, rates)
    pairs = [after / before for before, after in zip(*rates, strict=True)]
    print(
        f"{case.name:12} other {other:9,.1f}/s   this {this:9,.1f}/s   "
        f"ratio {this / other:.3f}   pairs {min(pairs):.3f} to {max(pairs):.3f}",
        flush=True,
    )


def main() -> int:
    """Compare all cases; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare two versions' speed.")
    parser.add_argument("other", type=Path, help="a checkout of the other version")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one repetition")
    parser.add_argument("--repeats", type=int, default=7, help="of each case")
    options = parser.parse_args()
    server_core, load_core = cores()
    vae = checkpoints.digits()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = checkpoints.save(vae, Path(folder) / "digits")
        os.sched_setaffinity(0, {server_core})  # the servers inherit it
        servers = []
        for name, checkout in (("other", options.other.resolve()), ("this", ROOT)):
            server = Server(checkout, path, Path(folder) / f"{name}.log")
            stack.callback(server.close)
            server.signal(signal.SIGSTOP)
            servers.append(server)
        os.sched_setaffinity(0, {load_core})
        for case in CASES:
            compare(case, servers, vae, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
