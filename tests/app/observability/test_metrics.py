"""What is counted besides requests and batches: the model, what waits, refusals."""

import asyncio
import os
import re
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram
from starlette.types import Message

from app.errors import ProblemError, reasons
from app.observability.batch import Batch
from app.observability.metrics import Metrics
from tests import plain_http
from tests.app.processes import process, workers
from tests.app.served import Served

SECONDS = 60
SECONDS_BOUNDS = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
MAX_TRIES = 1000


def sample_of(exposition: str, name: str) -> float:
    """Return the value of a metric without labels."""
    found = re.search(rf"^{name} (\S+)$", exposition, re.MULTILINE)
    assert found, name
    return float(found[1])


def scope(path: str) -> dict[str, Any]:
    """Return a request as ASGI has it."""
    return {
        "type": "http",
        "method": "GET" if path == "/metrics" else "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }


def test_the_model_is_stated(bernoulli: Served) -> None:
    """A gauge of 1 has version, backend, device and likelihood as labels."""
    card = bernoulli.get("/model").json()
    [line] = re.findall(
        r"^vae_model_info{(.*)} 1.0$", bernoulli.get("/metrics").text, re.MULTILINE
    )

    assert dict(re.findall(r'(\w+)="([^"]*)"', line)) == {
        "version": card["version"],
        "backend": card["compute"]["backend"],
        "device": card["compute"]["device"],
        "likelihood": "bernoulli",
    }


def test_every_answer_names_the_model(bernoulli: Served) -> None:
    """X-Model-Version is the start of the checkpoint's sha256, on errors too."""
    asked = [
        *(("GET", path) for path in ("/sample", "/model", "/docs", "/livez", "/nope")),
        *(("POST", path) for path in ("/encode", "/sample", "/model")),
    ]

    for method, path in asked:
        answer = bernoulli.request(method, path)

        version = answer.headers["x-model-version"]
        assert version == bernoulli.checkpoint.sha256[:12], (method, path)


def test_requests_in_flight_are_those_begun_and_not_ended(checkpoints: Path) -> None:
    """Each that waits counts, and none is left when all are answered or cut off."""
    sent: list[Message] = []

    async def never() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # it does not return

    async def send(message: Message) -> None:
        sent.append(message)

    async def cut_off() -> None:
        """Ask for metrics beside a request whose body never comes; then cut it."""
        waiting = asyncio.ensure_future(served.app(scope("/encode"), never, send))
        await asyncio.sleep(0)
        await served.app(scope("/metrics"), never, send)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    with Served(checkpoints / "bernoulli") as served:
        served.run(cut_off())
        after = served.get("/metrics").text

    during = b"".join(message.get("body", b"") for message in sent).decode()
    assert sample_of(during, "vae_requests_in_flight") == 2
    assert sample_of(after, "vae_requests_in_flight") == 1


def test_what_is_in_flight_is_counted_one_by_one() -> None:
    """Two begin and one ends: one is left."""
    metrics = Metrics(n_workers=1)
    metrics.enter()
    metrics.enter()
    metrics.leave()

    exposition = asyncio.run(metrics.exposition()).decode()

    assert sample_of(exposition, "vae_requests_in_flight") == 1


def test_refusals_have_reasons(checkpoints: Path) -> None:
    """Every problem is counted by its name; good answers are not."""
    with Served(checkpoints / "bernoulli") as served:
        served.post_raw("/encode", b"{}", {"content-type": "text/plain"})
        served.post("/sample", {"n": 0})
        served.post("/sample", {"n": -1})
        served.post("/sample", {"n": 1})
        served.get("/nope")
        text = served.get("/metrics").text

    assert dict(re.findall(r'vae_rejected_total{reason="(\w+)"} (\S+)', text)) == {
        "unsupported_media_type": "1.0",
        "unprocessable": "2.0",
        "not_found": "1.0",
    }


def test_swaps_and_refusals_are_counted_from_nought() -> None:
    """Both counters are there before there is anything to count."""
    metrics = Metrics(n_workers=1)
    metrics.observe_swap("refused")

    text = asyncio.run(metrics.exposition()).decode()

    pattern = r'vae_checkpoint_swaps_total{outcome="(\w+)"} (\S+)'
    assert dict(re.findall(pattern, text)) == {"swapped": "0.0", "refused": "1.0"}


def test_each_status_of_a_problem_has_one_reason() -> None:
    """No two problems share a status, and names read as words."""
    found = reasons()

    assert len(found) == len(ProblemError.__subclasses__())
    assert found[429] == "overloaded"
    assert found[413] == "content_too_large"
    assert len(set(found.values())) == len(found)


def in_flight(address: str) -> float:
    """Return how many requests are in flight, as a process tells it; -1 if it fails."""
    try:
        text = plain_http.get(f"{address}/metrics", timeout=SECONDS).text
    except httpx.TransportError:  # of a worker that is just killed
        return -1
    return sample_of(text, "vae_requests_in_flight")


@pytest.mark.slow("starts processes")
def test_a_worker_that_died_has_nothing_in_flight(checkpoints: Path) -> None:
    """Its part of the gauge goes with it, while another takes its place."""
    settings = {"VAE_CHECKPOINT": str(checkpoints / "bernoulli"), "VAE_WORKERS": "2"}
    head = b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

    with process(settings) as (address, running):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=SECONDS) as waiting:
            waiting.sendall(head + b"Content-Length: 9\r\n\r\n")
            assert any(in_flight(address) == 2 for _ in range(MAX_TRIES))
            for pid in workers(running.pid):
                os.kill(pid, signal.SIGKILL)
            with suppress(ConnectionResetError):
                assert waiting.recv(1) == b""
        found = -1.0
        while found < 0:
            found = in_flight(address)

    assert found == 1


def test_a_file_that_a_worker_has_just_made_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library itself fails on it."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    (tmp_path / "counter_1.db").touch()
    assert asyncio.run(Metrics(n_workers=2).exposition()) == b""


def test_amounts_noted_together_are_counted_as_one_by_one() -> None:
    """The library's own `observe` is the reference."""
    metrics, reference = Metrics(n_workers=1), CollectorRegistry()
    name, bounds = "vae_compute_seconds", (*SECONDS_BOUNDS, float("inf"))
    one_by_one = Histogram(
        name, "", ("operation",), buckets=bounds, registry=reference
    ).labels("encode")
    rng = np.random.default_rng(0)
    # The bounds themselves, what is between them, and beyond the last.
    for seconds in [0.0, *SECONDS_BOUNDS, 11.0, *rng.exponential(0.1, 150).tolist()]:
        one_by_one.observe(seconds)
        metrics.observe_batch(Batch("encode", 1, 0.0, seconds))
    asyncio.run(metrics.exposition())
    expected, found = values(reference, name), values(metrics.registry, name)
    assert len(expected) == len(bounds) + 2
    assert found == pytest.approx(expected)


def values(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """Return the buckets, the count and the sum of a histogram."""
    return {
        f"{sample.name} {sample.labels.get('le')}": sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name.startswith(name) and not sample.name.endswith("_created")
    }
