"""Put load on a server with wrk, or with our own generator if wrk cannot do it."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import sockets
from benchmarks.servers import ask
from benchmarks.workload import Request, unseen

_SCRIPT = Path(__file__).with_name("post.lua")
_PROBES = 3  # answers looked at while wrk, which throws them away, runs


@dataclass(frozen=True)
class Measurement:
    """
    What one run of load came to.

    Attributes:
        cpu_us: Processor time of the server for a request, microseconds. It holds still
            where rates do not, on a machine that has other work to do.
        p50_ms: Median latency of the requests with the fewest rows, milliseconds.
        p99_ms: Their 99th percentile.
        n_checked: How many answers were compared with the model's.
    """

    n_requests: int
    requests_per_second: float
    rows_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    n_checked: int


Generator = Callable[[int, Sequence[Request], int, float], Measurement]


def generator(name: str) -> Generator:
    """Return wrk or our own; `auto` is wrk where there is one."""
    has_wrk = shutil.which("wrk") is not None
    if name == "wrk" or (name == "auto" and has_wrk):
        return with_wrk
    return with_sockets


def with_wrk(
    port: int, requests: Sequence[Request], connections: int, seconds: float
) -> Measurement:
    """Put load on a server with wrk; send a few more requests to check responses."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / str(i) for i in range(len(requests))]
        for file, request in zip(files, requests, strict=True):
            file.write_bytes(request.wire())
        # wrk takes whole seconds, and its clock starts before its connections.
        command = ["wrk", "--threads", "1", "--timeout", "60s"]
        command += ["--connections", str(connections), "--script", str(_SCRIPT)]
        command += ["--duration", f"{max(1, round(seconds))}s"]
        command += [f"http://127.0.0.1:{port}/", "--", *map(str, files)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
            n_checked = _probe(port, requests, seconds)
            output, _ = wrk.communicate(timeout=seconds + 120)
    figures = json.loads(output.splitlines()[-1])
    if figures["errors"] or not figures["n"]:
        raise RuntimeError(f"the load met errors: {output}")
    rate = figures["n"] / figures["seconds"]
    return Measurement(
        n_requests=figures["n"],
        requests_per_second=rate,
        rows_per_second=rate * requests[0].n_rows,
        p50_ms=figures["p50"],
        p99_ms=figures["p99"],
        cpu_us=float("nan"),
        n_checked=n_checked,
    )


def with_sockets(
    port: int, requests: Sequence[Request], connections: int, seconds: float
) -> Measurement:
    """Load with requests of any kinds in turn, every connection beginning elsewhere."""
    traffic = sockets.load(
        port, [r.wire() for r in requests], connections=connections, seconds=seconds
    )
    for answer in traffic.kept:
        requests[answer.number].check(answer.body)
    fewest = min(request.n_rows for request in requests)
    latencies = sorted(
        exchange.seconds
        for exchange in traffic.exchanges
        if requests[exchange.number].n_rows == fewest
    )
    if not latencies:
        raise RuntimeError("no request was answered in time")
    n_rows = sum(requests[exchange.number].n_rows for exchange in traffic.exchanges)
    return Measurement(
        n_requests=len(traffic.exchanges),
        requests_per_second=len(traffic.exchanges) / traffic.seconds,
        rows_per_second=n_rows / traffic.seconds,
        p50_ms=1e3 * latencies[len(latencies) // 2],
        p99_ms=1e3 * latencies[int(0.99 * len(latencies))],
        cpu_us=float("nan"),
        n_checked=sum(requests[a.number].check is not unseen for a in traffic.kept),
    )


def _probe(port: int, requests: Sequence[Request], seconds: float) -> int:
    """Ask and check a few requests, spread over most of the run."""
    chosen = requests[:_PROBES]
    for request in chosen:
        time.sleep(0.8 * seconds / len(chosen))
        request.check(ask(port, request))
    return sum(request.check is not unseen for request in chosen)
