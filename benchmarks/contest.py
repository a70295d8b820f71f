"""Run a case: its servers take turns on one core while the others are frozen."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import final

from benchmarks import sockets
from benchmarks.cases import Case, InProcess, Served
from benchmarks.checkpoints import digits, images, save
from benchmarks.load import Generator, Measurement, with_sockets
from benchmarks.processes import Process
from benchmarks.servers import Running, running
from benchmarks.workload import Request

Outcome = Mapping[str, list[Measurement]]
Measure = Callable[[float], Measurement]

_WARM_SECONDS = 0.5
_DRAIN_SECONDS = 0.5  # for what wrk leaves unanswered, before a server is frozen
_NOTHING = float("nan")


@final
class Contest:
    """
    All processes of one case.

    Servers are started anew for each case, because some adapt the waiting time of a
    batch to the load, which would affect the next case.
    """

    def __init__(self, case: Case, folder: Path, core: int, generate: Generator):
        self._case, self._folder, self._core = case, folder, core
        self._generate = with_sockets if case.mixed else generate
        self._models = {"digits": digits(), "images": images()}
        for name, vae in self._models.items():
            save(vae, folder / "models" / name)
        self._servers: dict[str, Running] = {}

    def run(
        self, *, seconds: float, repeats: int, report: Callable[[str], None]
    ) -> Outcome:
        """Measure every entry `repeats` times, in turns."""
        with ExitStack() as stack:
            entries = {
                name: self._entry(entry, stack)
                for name, entry in self._case.entries.items()
            }
            outcome: dict[str, list[Measurement]] = {name: [] for name in entries}
            for turn in range(repeats):
                for name, (process, measure) in entries.items():
                    process.thaw()
                    measured = measure(seconds)
                    time.sleep(_DRAIN_SECONDS)
                    process.check_runs()
                    process.freeze()
                    outcome[name].append(measured)
                    figure = shown(getattr(measured, self._case.figure))
                    report(f"{self._case.name} {turn + 1}/{repeats} {name}: {figure}")
        return outcome

    def _entry(
        self, entry: Served | InProcess, stack: ExitStack
    ) -> tuple[Process, Measure]:
        """Start the process of an entry; return it, frozen, and how to measure it."""
        if isinstance(entry, InProcess):
            process = self._loop(entry)
            stack.callback(process.end)
            _loop_rate(process, _WARM_SECONDS)
            process.freeze()
            return process, lambda seconds: _loop_rate(process, seconds)
        requests = entry.requests(self._models)
        wires = [request.wire() for request in requests]
        server = self._server(entry.server, requests[0], stack)
        connections = self._case.connections

        def measure(seconds: float) -> Measurement:
            sockets.load(
                server.port, wires, connections=connections, seconds=_WARM_SECONDS
            )
            before = server.process.cpu_seconds()
            measured = self._generate(server.port, requests, connections, seconds)
            spent = server.process.cpu_seconds() - before
            return replace(measured, cpu_us=1e6 * spent / measured.n_requests)

        return server.process, measure

    def _server(self, name: str, first: Request, stack: ExitStack) -> Running:
        if name not in self._servers:
            models, core = self._folder / "models", self._core
            started = running(
                name, models=models, folder=self._folder, core=core, first=first
            )
            self._servers[name] = stack.enter_context(started)
            self._servers[name].process.freeze()
        return self._servers[name]

    def _loop(self, entry: InProcess) -> Process:
        words = ["--way", entry.way, "--rows", str(entry.n_rows), "--checkpoint"]
        checkpoint = self._folder / "models" / entry.model
        return Process(
            [sys.executable, "-m", "benchmarks.inprocess", *words, str(checkpoint)],
            core=self._core,
            environment={},
            log=self._folder / f"{entry.way}.log",
            stdin=subprocess.PIPE,
        )


def run(
    case: Case,
    *,
    core: int,
    generate: Generator,
    seconds: float,
    repeats: int,
    report: Callable[[str], None],
) -> Outcome:
    """Run one case, the servers on the given core."""
    with TemporaryDirectory() as folder:
        contest = Contest(case, Path(folder), core, generate)
        return contest.run(seconds=seconds, repeats=repeats, report=report)


def middle(measurements: list[Measurement], figure: str) -> float:
    """Return the median of one figure."""
    values: list[float] = [getattr(measured, figure) for measured in measurements]
    return median(values)


def shown(value: float) -> str:
    """Format a figure with its significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _loop_rate(process: Process, seconds: float) -> Measurement:
    process.stdin.write(f"{seconds}\n".encode())
    process.stdin.flush()
    line = process.stdout.readline()
    process.check_runs()
    return Measurement(
        n_requests=0,
        requests_per_second=_NOTHING,
        rows_per_second=float(line),
        p50_ms=_NOTHING,
        p99_ms=_NOTHING,
        cpu_us=_NOTHING,
        n_checked=0,
    )
