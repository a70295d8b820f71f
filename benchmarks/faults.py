"""
Cause every known kind of failure in a service under load, and count the outcomes.

    python -m benchmarks.faults [--seconds 8] [--faults poison "cut answers"] [--write]

32 keep-alive connections send requests to encode 512 different rows, whose right
responses are computed beforehand, while the failure is caused. Each request that was
sent has exactly one of these outcomes:

right    status 200, and the values of this request's own response, to 1e-4.
refused  another status. A poisoned row must get 500, and no other row may.
cut      its connection was closed or reset before its response was complete. The
         client notices and can retry, since encoding changes nothing. Requests in a
         process that is killed with SIGKILL end like this, because the kernel resets
         its connections; to avoid it, a server would need a copy of each request in
         another process.
lost     neither a response nor the end of the connection within 20 seconds, so the
         client would wait for ever. The bar is 0, SIGKILL included.
wrong    status 200 with anything else, or status 500 to a row that is not poisoned.
         The bar is 0.

A connection that is refused while no process listens does not count as a request; it is
retried. Memory is that of all processes of the service, before the failure and at the
end. For failures that concern memory, it must be at most a fifth more at the end. The
server has one core, the load another.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple
from urllib.request import urlopen

import numpy as np
import uvloop

from benchmarks import checkpoints, faulty
from benchmarks.clients import Client, Tally
from benchmarks.processes import ROOT, cores
from benchmarks.results import circumstances, table, write_section
from benchmarks.servers import ask
from benchmarks.service import Service
from benchmarks.workload import NATIVE, Request, encodings, unseen

_CONNECTIONS = 32
_N_REQUESTS = 512
_MARKED_EVERY = 61
_STALL_SECONDS, _WATCHDOG_SECONDS = 3.0, 1.0
_ENVIRONMENT = {
    "VAE_DRAIN_DELAY": "1",
    "STALL_SECONDS": str(_STALL_SECONDS),
    "WATCHDOG_SECONDS": str(_WATCHDOG_SECONDS),
}
_CUTTERS = 8
_END_SECONDS = 20.0
_HEAD = (
    *("fault", "sent", "right", "refused, by status", "cut", "lost", "wrong"),
    *("right after it", "longest gap, s", "memory, MiB"),
)
_MOST_GROWTH = 1.2
_N_UNREAD = 40
_UNREAD_SECONDS = 2.0
_SEGMENTS_BYTES, _N_SEGMENTED = 16 << 20, 4
_ENDED = 4  # computations that the end of the drain interrupts


Strike = Callable[[Service, Request], Awaitable[None]]


class Fault(NamedTuple):
    """
    One kind of failure.

    Attributes:
        strike: Causes it, given a valid request, and returns when it is done.
        poisoned: Whether some of the requests are poisoned.
        is_log_read: Whether the output of the service is read.
        ends: Whether the service is expected to exit.
        is_freed: Whether memory must be as before at the end.
    """

    name: str
    strike: Strike
    module: str = "app"
    environment: Mapping[str, str] = MappingProxyType({})
    poisoned: bool = False
    is_log_read: bool = True
    ends: bool = False
    is_freed: bool = False


async def _nothing(_service: Service, _request: Request) -> None:
    """Do nothing: the poisoned rows cause the failure."""


async def _stall(service: Service, request: Request) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(marked(request, faulty.STALL).wire())
    status = (await reader.readuntil(b"\r\n\r\n"))[9:12]
    assert status == b"503", f"the request that stalls got {status.decode()}"
    writer.close()
    await asyncio.sleep(_STALL_SECONDS - _WATCHDOG_SECONDS)


async def _kill_worker(service: Service, _request: Request) -> None:
    os.kill(service.busiest_worker(), signal.SIGKILL)


async def _kill_and_restart(service: Service, _request: Request) -> None:
    os.kill(service.process.pid, signal.SIGKILL)
    await asyncio.to_thread(service.process.end)
    await asyncio.to_thread(service.start)


async def _kill_writers(service: Service, request: Request) -> None:
    """Kill processes that replace the checkpoint, each at another moment; restart."""
    writers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.killed"),
        *(str(service.model), str(service.process.pid)),
        cwd=ROOT,
    )
    status = await writers.wait()
    assert status == 0, f"the last writer ended with status {status}"
    text = await asyncio.to_thread(_metrics, service.port)
    assert 'vae_checkpoint_swaps_total{outcome="refused"} 0.0' in text
    assert 'vae_checkpoint_swaps_total{outcome="swapped"} 0.0' not in text
    await _kill_and_restart(service, request)


def _metrics(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        text: str = response.read().decode()
    return text


async def _terminate_and_wait(service: Service, _request: Request) -> None:
    """Send SIGTERM; the service must exit although its log is not read."""
    os.kill(service.process.pid, signal.SIGTERM)
    await asyncio.to_thread(service.process.await_end, _END_SECONDS)


async def _terminate(service: Service, _request: Request) -> None:
    os.kill(service.process.pid, signal.SIGTERM)


async def _cut_requests(service: Service, request: Request) -> None:
    """Send a part of a request, of any length, and disconnect."""
    wire = request.wire()
    await _cut(service, [wire[:n] for n in range(1, len(wire), 97)], n_bytes=0)


async def _cut_answers(service: Service, _request: Request) -> None:
    """Request a megabyte, read some of it, and disconnect."""
    asked = b"GET /sample?n=64&seed=%d HTTP/1.1\r\nHost: a\r\n\r\n"
    await _cut(service, [asked % seed for seed in range(60)], n_bytes=1)


async def _segments(service: Service, _request: Request) -> None:
    """Send JPEG files of millions of empty comments, several at once."""
    jpeg = b"\xff\xd8" + b"\xff\xfe\x00\x02" * (_SEGMENTS_BYTES // 4)
    head = (
        "POST /encode HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    )

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(head.encode() + jpeg)
        came = await reader.read()
        writer.close()
        return came

    for came in await asyncio.gather(*(one() for _ in range(_N_SEGMENTED))):
        assert came[9:12] == b"422", came[:200]


async def _never_read(service: Service, _request: Request) -> None:
    """Request 4 MiB on each of 40 connections, read nothing, and disconnect later."""
    asked = b"GET /sample?n=16384&seed=%d HTTP/1.1\r\nHost: a\r\n\r\n"
    writers, statuses = [], Counter[bytes]()
    for seed in range(_N_UNREAD):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", service.port, limit=1 << 10
        )
        writer.write(asked % seed)
        statuses[(await reader.readexactly(12))[9:]] += 1
        writers.append(writer)
    assert set(statuses) == {b"200", b"429"}, statuses
    await asyncio.sleep(_UNREAD_SECONDS)
    for writer in writers:
        writer.transport.abort()


async def _end_of_drain(service: Service, request: Request) -> None:
    """Send SIGTERM with more work in progress than can be done before the exit."""
    long = replace(request, path="/elbo", body=_many_draws(request), check=unseen)

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(long.wire())
        came = await reader.read()
        writer.close()
        return came

    waiting = [asyncio.ensure_future(one()) for _ in range(_ENDED)]
    await asyncio.sleep(_UNREAD_SECONDS)
    os.kill(service.process.pid, signal.SIGTERM)
    for came in await asyncio.gather(*waiting):
        head, _, body = came.partition(b"\r\n\r\n")
        assert head[9:12] == b"503", head
        assert b"problem+json" in head, head
        assert json.loads(body)["status"] == 503


def _many_draws(request: Request) -> bytes:
    x = np.array(json.loads(request.body)["x"]).repeat(200, axis=0)
    binary = (x > 0.5).astype(float).tolist()
    return json.dumps({"x": binary, "n_samples": 10_000}).encode()


async def _cut(service: Service, texts: Sequence[bytes], *, n_bytes: int) -> None:
    """Send each text; reset the connection after `n_bytes` of the response."""
    free = asyncio.Semaphore(_CUTTERS)

    async def one(text: bytes) -> None:
        async with free:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(text)
            await writer.drain()
            await reader.readexactly(n_bytes)
            await asyncio.sleep(0.02)
            writer.transport.abort()

    await asyncio.gather(*map(one, texts))


_TWO = {"VAE_WORKERS": "2"}
_LOGGING = {"VAE_ACCESS_LOG": "true"}
FAULTS = (
    Fault("poison", _nothing, "benchmarks.faulty", poisoned=True),
    Fault("stall", _stall, "benchmarks.faulty"),
    Fault("kill a worker", _kill_worker, environment=_TWO),
    Fault("kill and restart", _kill_and_restart),
    Fault("kill writers", _kill_writers),
    Fault("SIGTERM", _terminate, ends=True),
    Fault("SIGTERM, 2 workers", _terminate, environment=_TWO, ends=True),
    Fault(
        "stuck log pipe",
        _terminate_and_wait,
        environment=_LOGGING,
        is_log_read=False,
        ends=True,
    ),
    Fault("cut requests", _cut_requests),
    Fault("cut answers", _cut_answers),
    Fault("segments", _segments, is_freed=True),
    Fault(
        "clients that never read",
        _never_read,
        environment={"VAE_MAX_RESPONSES_BYTES": str(32 << 20)},
        is_freed=True,
    ),
    Fault(
        "end of drain",
        _end_of_drain,
        environment={"VAE_DRAIN_TIMEOUT": "2", "VAE_MAX_WORK": str(1 << 50)},
        ends=True,
    ),
)


def marked(request: Request, value: float) -> Request:
    """Return a request whose row begins with a value; no response to it is right."""
    start, stop = request.body.find(b"[[") + 2, request.body.find(b",")
    body = request.body[:start] + str(value).encode() + request.body[stop:]
    return replace(request, body=body, check=unseen)


def _mixed(requests: Sequence[Request]) -> list[Request]:
    """Return the requests, some of them poisoned."""
    return [
        marked(request, faulty.POISON) if number % _MARKED_EVERY == 0 else request
        for number, request in enumerate(requests)
    ]


async def _struck(
    service: Service, fault: Fault, requests: Sequence[Request], seconds: float
) -> tuple[Tally, int, int]:
    """
    Cause the failure after a quarter of the time.

    Returns:
        The outcomes of the requests, and the memory before and after.
    """
    tally, stop = Tally(), asyncio.Event()
    asked = _mixed(requests) if fault.poisoned else requests
    clients = [
        asyncio.ensure_future(Client(service.port, asked, tally).ask(stop, first))
        for first in range(0, len(asked), len(asked) // _CONNECTIONS)
    ]
    await asyncio.sleep(seconds / 4)
    before = service.process.resident_bytes()
    await fault.strike(service, requests[0])
    tally.struck = time.monotonic()
    await asyncio.sleep(3 * seconds / 4)
    stop.set()
    await asyncio.gather(*clients)
    return tally, before, service.process.resident_bytes()


def _row(fault: Fault, tally: Tally, before: int, after: int) -> list[str]:
    refused = sorted(tally.refused.items())
    statuses = ", ".join(f"{status}: {n:,}" for status, n in refused)
    n_after = sum(at > tally.struck for at in tally.right_at)
    return [
        fault.name,
        f"{tally.sent:,}",
        f"{tally.right:,}",
        statuses or "0",
        f"{tally.cut:,}",
        f"{tally.lost:,}",
        f"{tally.wrong:,}",
        "ends" if fault.ends else f"{n_after:,}",
        f"{tally.gap:.2f}",
        f"{before >> 20}, then {after >> 20}",
    ]


def _check_different(requests: Sequence[Request], port: int) -> None:
    """Check that no response passes for the response to another request."""
    for one, other in pairwise(requests):
        try:
            one.check(ask(port, other))
        except AssertionError:
            continue
        raise RuntimeError("two requests have the same answer")


def _measured(faults: Sequence[Fault], seconds: float) -> tuple[list[list[str]], bool]:
    server_core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    vae = checkpoints.digits()
    requests = encodings(vae, NATIVE, 1, n_requests=_N_REQUESTS)
    rows, is_good = [], True
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = checkpoints.save(vae, folder / "digits")
        for number, fault in enumerate(faults, 1):
            _say(f"[{number}/{len(faults)}] {fault.name} ...")
            service = Service(
                model,
                folder,
                core=server_core,
                first=requests[0],
                module=fault.module,
                environment={**_ENVIRONMENT, **fault.environment},
                is_log_read=fault.is_log_read,
            )
            try:
                service.start()
                if number == 1:
                    _check_different(requests[:9], service.port)
                ran = _struck(service, fault, requests, seconds)
                tally, before, after = uvloop.run(ran)
            finally:
                service.end()
            rows.append(_row(fault, tally, before, after))
            is_good &= tally.is_good
            is_good &= not fault.is_freed or after <= _MOST_GROWTH * before
            _say("    " + ", ".join(map(" ".join, zip(rows[-1], _HEAD, strict=True))))
    return rows, is_good


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print, and write if requested; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each fault")
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--faults", nargs="+", choices=names, help="only these")
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    asked = parser.parse_args()
    chosen = [f for f in FAULTS if asked.faults is None or f.name in asked.faults]
    rows, is_good = _measured(chosen, asked.seconds)
    verdict = (
        "Nothing was lost or wrong." if is_good else "MISSED: lost, wrong or kept."
    )
    text = f"{circumstances(['torch', 'onnxruntime', 'uvicorn'])} {verdict}"
    text = f"{text}\n\n{table(_HEAD, rows)}"
    print(text)
    if asked.write:
        write_section("Faults", text)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
