"""
Compare the speed of two versions of the service, in turns on one core.

    python -m benchmarks.two_versions PATH_TO_ANOTHER_CHECKOUT [--starts 8]

Each case sends the same requests to both. While one is measured the other is stopped.
The ratio is that of the medians; above 1 this version is the faster one. The processor
time per request depends less on what else the machine does.

Where the operating system puts a process in memory changes its speed by several
percent for as long as it runs. So both are started several times, and what counts is
the median of the ratios.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import sockets
from benchmarks.processes import ROOT, cores, cpu_seconds
from benchmarks.same_responses import Server
from benchmarks.workload import BINARY, NATIVE, Dialect, Request, encodings
from model import checkpoint
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


class Speed(NamedTuple):
    """Requests per second, and the server's processor time per request."""

    rate: float
    cpu_us: float


def measured(
    server: Server, requests: Sequence[Request], n: int, seconds: float
) -> Speed:
    """Return the speed of a server while the other is stopped."""
    server.signal(signal.SIGCONT)
    wires = [request.wire() for request in requests]
    sockets.load(server.port, wires, connections=n, seconds=0.3)
    before = cpu_seconds(server.pid)
    traffic = sockets.load(server.port, wires, connections=n, seconds=seconds)
    spent = cpu_seconds(server.pid) - before
    for answer in traffic.kept:
        requests[answer.number].check(answer.body)
    server.signal(signal.SIGSTOP)
    n_done = len(traffic.exchanges)
    return Speed(n_done / traffic.seconds, 1e6 * spent / n_done)


class Ratio(NamedTuple):
    """How much faster this version is, by the clock and by processor time."""

    rate: float
    cpu: float


def compare(
    case: SpeedCase, servers: Sequence[Server], vae: VAE, options: argparse.Namespace
) -> Ratio:
    """Print the speeds of both versions; return their ratio."""
    requests = encodings(vae, n_rows=case.n_rows, dialect=case.dialect)
    speeds: list[list[Speed]] = [[], []]
    for _ in range(options.repeats):
        for server, found in zip(servers, speeds, strict=True):
            found.append(measured(server, requests, case.connections, options.seconds))
    other, this = (
        Speed(*map(statistics.median, zip(*found, strict=True))) for found in speeds
    )
    pairs = [after.rate / before.rate for before, after in zip(*speeds, strict=True)]
    ratio = Ratio(this.rate / other.rate, other.cpu_us / this.cpu_us)
    print(
        f"{case.name:12} other {other.rate:9,.1f}/s   this {this.rate:9,.1f}/s   "
        f"ratio {ratio.rate:.3f}   pairs {min(pairs):.3f} to "
        f"{max(pairs):.3f}   CPU {other.cpu_us:,.0f} and {this.cpu_us:,.0f} us a "
        f"request, ratio {ratio.cpu:.3f}",
        flush=True,
    )
    return ratio


def save_by(checkout: Path, path: Path) -> None:
    """Have the other version write the checkpoint: it may not read newer formats."""
    code = (
        "import pathlib, sys; from benchmarks import checkpoints as c; "
        "c.save(c.digits(), pathlib.Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", code, str(path)]
    subprocess.run(command, cwd=checkout, env=environment, check=True)


def compare_once(
    folder: Path,
    cases: Sequence[SpeedCase],
    options: argparse.Namespace,
    placed: tuple[int, int],
) -> list[Ratio]:
    """Start both versions, and compare them; `placed` are the cores of both sides."""
    server_core, load_core = placed
    path = folder / "digits"
    vae = checkpoint.load(path).vae
    with ExitStack() as stack:
        os.sched_setaffinity(0, {server_core})  # the servers inherit it
        servers = []
        for name, checkout in (("other", options.other.resolve()), ("this", ROOT)):
            server = Server(checkout, path, folder / f"{name}.log")
            stack.callback(server.close)
            server.signal(signal.SIGSTOP)
            servers.append(server)
        os.sched_setaffinity(0, {load_core})
        return [compare(case, servers, vae, options) for case in cases]


def print_medians(cases: Sequence[SpeedCase], starts: Sequence[list[Ratio]]) -> None:
    """Print the median of each case's ratios over all starts."""
    for case, *ratios in zip(cases, *starts, strict=True):
        rates, cpu = zip(*ratios, strict=True)
        print(
            f"{case.name:12} median of {len(starts)} starts: "
            f"ratio {statistics.median(rates):.3f} ({min(rates):.3f} to "
            f"{max(rates):.3f}), processor time {statistics.median(cpu):.3f}"
        )


def main() -> int:
    """Compare all cases; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare two versions' speed.")
    parser.add_argument("other", type=Path, help="a checkout of the other version")
    parser.add_argument("--starts", type=int, default=8, help="of both versions")
    parser.add_argument("--repeats", type=int, default=3, help="of a case in a start")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one repetition")
    parser.add_argument("--case", action="append", help="only this one; repeatable")
    options = parser.parse_args()
    placed = cores()  # before this process is bound to one
    cases = [
        case for case in CASES if options.case is None or case.name in options.case
    ]
    with tempfile.TemporaryDirectory() as folder:
        save_by(options.other, Path(folder) / "digits")
        starts = [
            compare_once(Path(folder), cases, options, placed)
            for _ in range(options.starts)
        ]
    print_medians(cases, starts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
