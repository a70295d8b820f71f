"""A real server under load whose checkpoint is swapped time and again."""

import asyncio
import json
import logging
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.app import streams
from tests.app.processes import SECONDS, counted, process
from tests.app.served import Served
from tests.tiny import MLP, save_tiny, tiny_config, tiny_vae

logger = logging.getLogger(__name__)

N_CLIENTS = 16
N_SETTLING = 4
N_SWAPS = 100
# For so many swaps clients ask without a pause, as fast as they are answered: then a
# swap takes seconds of the processor. After that they only keep requests in flight.
N_BUSY_SWAPS = 25
PAUSE_SECONDS = 0.1
MAX_GROWTH_MIB = 24
MAX_THREADS = 40
ROWS = [[float(i % 3 == j % 2) for i in range(16)] for j in range(8)]


class Call(NamedTuple):
    """A request, with the answer that is right by the version that gives it."""

    request: bytes
    wanted: dict[str, bytes]


CALLS = (
    ("POST", "/encode", {"x": ROWS}),
    ("POST", "/encode", {"x": ROWS[:1]}),
    ("POST", "/decode", {"z": [[0.5, -1, 2]] * 200}),
    ("POST", "/elbo", {"x": ROWS, "n_samples": 20, "seed": 3}),
    ("POST", "/sample", {"n": 4, "seed": 5}),
    ("POST", "/loglik", {"x": ROWS[:1], "n_samples": 8, "seed": 3}),
    ("GET", "/model", None),
    ("GET", "/examples", None),
)


def raw(method: str, path: str, document: object) -> bytes:
    """Return a request as it goes over a socket."""
    body = b"" if document is None else json.dumps(document).encode()
    return streams.request(method, path, {"Content-Type": "application/json"}, body)


def calls(checkpoints: dict[str, Path]) -> list[Call]:
    """Ask each checkpoint alone, in this process, what its answers are."""
    asked = [Call(raw(*call), {}) for call in CALLS]
    for path in checkpoints.values():
        with Served(path) as served:
            for call, (method, url, document) in zip(asked, CALLS, strict=True):
                answer = served.request(method, url, json=document)
                assert answer.status_code == 200, answer.text
                version = served.checkpoint.sha256[:12]
                call.wanted[version] = answer.content
    assert all(len({*call.wanted.values()}) == len(checkpoints) for call in asked[:-1])
    return asked


class Clients:
    """
    Connections that send one request after the other, and what they saw.

    Attributes:
        pause: Seconds between an answer and the next request of a connection.
    """

    def __init__(self, address: str, asked: list[Call]) -> None:
        self._host, port = address.removeprefix("http://").split(":")
        self._port = int(port)
        self._asked = asked
        self.versions: Counter[str] = Counter()
        self.faults: list[str] = []
        self.slowest = 0.0
        self.pause = 0.0
        self.is_over = False
        self._wanted = ""
        self._is_seen = asyncio.Event()

    async def see(self, version: str) -> None:
        """Wait for an answer of a version, to a request that begins from now on."""
        self._wanted = version
        self._is_seen = asyncio.Event()
        await self._is_seen.wait()

    async def ask(self, first: int) -> None:
        """Ask on one connection until it is over."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        turns = cycle([*self._asked[first:], *self._asked[:first]])
        while not self.is_over:
            call, is_seen = next(turns), self._is_seen
            started = time.perf_counter()
            writer.write(call.request)
            answer = await streams.read(reader)
            version = answer.headers["x-model-version"]
            self.slowest = max(self.slowest, time.perf_counter() - started)
            self.versions[version] += 1
            if version == self._wanted:
                is_seen.set()
            if answer.status != 200 or answer.body != call.wanted[version]:
                self.faults.append(f"{call.request!r}: {answer}"[:500])
            await asyncio.sleep(self.pause)
        writer.close()
        await writer.wait_closed()


class Size(NamedTuple):
    """What a process takes."""

    mib: float
    n_threads: int


def size(pid: int) -> Size:
    """Return the resident memory and the threads of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return Size(int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"]))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return two checkpoints of other weights by their versions, in order."""
    root = tmp_path_factory.mktemp("two")
    config = tiny_config("bernoulli", data_shape=(4, 4), network=MLP)
    paths = [
        save_tiny(root / f"{s}" / "tiny", tiny_vae(config, seed=s)) for s in (1, 2)
    ]
    versions = [Served(path).checkpoint.sha256[:12] for path in paths]
    return dict(zip(versions, paths, strict=True))


def point(link: Path, target: Path) -> None:
    """Have a link name another directory, in one step."""
    link.with_name("next").symlink_to(target)
    link.with_name("next").rename(link)


class Swaps(NamedTuple):
    """What clients saw while checkpoints were swapped, and sizes after each swap."""

    clients: Clients
    sizes: list[Size]


async def swap_under_load(
    address: str,
    running: subprocess.Popen[str],
    asked: list[Call],
    targets: Iterable[tuple[str, Path]],
    link: Path,
) -> Swaps:
    """Swap from one version to the next while all clients ask."""
    clients, sizes = Clients(address, asked), []
    async with asyncio.TaskGroup() as group:
        for i in range(N_CLIENTS):
            group.create_task(clients.ask(i % len(CALLS)))
        for i, (version, path) in enumerate(targets):
            clients.pause = PAUSE_SECONDS if i >= N_BUSY_SWAPS else 0.0
            point(link, path)
            running.send_signal(signal.SIGHUP)
            async with asyncio.timeout(SECONDS):
                await clients.see(version)
            sizes.append(size(running.pid))
        clients.is_over = True
    return Swaps(clients, sizes)


@pytest.mark.slow("swaps 100 times")
def test_no_request_fails_or_meets_two_checkpoints(two: dict[str, Path]) -> None:
    """Each answer is, to the byte, that of the checkpoint it names; memory is flat."""
    old, new = two.items()
    targets = islice(cycle((new, old)), N_SWAPS)
    _, first = old
    link = first.parents[1] / "served" / "tiny"
    link.parent.mkdir(exist_ok=True)
    point(link, first)
    asked = calls(two)

    settings = {"VAE_CHECKPOINT": str(link)}
    with process(settings) as (address, running):
        swaps = swap_under_load(address, running, asked, targets, link)
        clients, sizes = asyncio.run(swaps)
        n_swapped = counted(address, 'vae_checkpoint_swaps_total{outcome="swapped"}')

    settled = sizes[N_SETTLING:]
    n_requests, slowest = sum(clients.versions.values()), clients.slowest
    words = (n_requests, len(sizes), settled[0], settled[-1], slowest)
    logger.info("%d requests, %d swaps, %s to %s, slowest %.3f s", *words)
    assert n_swapped == N_SWAPS
    assert clients.faults == []
    assert clients.versions.keys() == two.keys()
    assert min(clients.versions.values()) >= N_SWAPS
    assert settled[-1].mib - settled[0].mib < MAX_GROWTH_MIB
    assert {size.n_threads for size in settled} <= {*range(MAX_THREADS + 1)}
    assert running.returncode == 0
