"""Faults of compute in a real process: each is reported, to its own request alone."""

import http.client
import os
import re
import resource
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from model import checkpoint
from tests import plain_http
from tests.app.long_request import LONG_BODY
from tests.app.processes import (
    SECONDS,
    counted,
    cpu_seconds,
    process,
    until,
    workers,
)

FAULTY = "benchmarks.faulty"
POISON, STALL = 0.7734375, 0.8828125  # in the range of x, and exact in float32
STALL_SECONDS, WATCHDOG_SECONDS = 4.0, 0.5
N_CLIENTS = 16

pytestmark = pytest.mark.slow("starts processes")


def settings(checkpoints: Path, **others: str) -> dict[str, str]:
    """Return the environment of a service that fails at marked rows."""
    return {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "STALL_SECONDS": str(STALL_SECONDS),
        "WATCHDOG_SECONDS": str(WATCHDOG_SECONDS),
        **others,
    }


def row(first: float, number: int) -> list[float]:
    """Return a row that begins with a value."""
    return [first, *np.random.default_rng(number).random(15).round(3).tolist()]


def test_a_poisoned_row_fails_the_request_that_brought_it_alone(
    checkpoints: Path,
) -> None:
    """Of 16 clients that send requests at once, in turns, one gets 500, no other."""
    vae = checkpoint.load(checkpoints / "bernoulli").vae
    rows = [row(POISON if i == 5 else 0.5, i) for i in range(N_CLIENTS)]
    together = threading.Barrier(N_CLIENTS)

    def ask(address: str, x: list[float]) -> list[httpx.Response]:
        with plain_http.Client(base_url=address, timeout=SECONDS) as client:
            answers = []
            for _ in range(10):
                together.wait(SECONDS)
                answers.append(client.post("/encode", json={"x": [x]}))
            return answers

    with (
        process(settings(checkpoints), module=FAULTY) as (address, _),
        ThreadPoolExecutor(N_CLIENTS) as pool,
    ):
        answers = list(pool.map(lambda x: ask(address, x), rows))

    for x, got in zip(rows, answers, strict=True):
        if x[0] == POISON:
            assert {answer.status_code for answer in got} == {500}
            continue
        mu = vae.encode(torch_row(x)).mu.numpy()
        for answer in got:
            np.testing.assert_allclose(answer.json()["mu"], mu, rtol=1e-4, atol=1e-6)


def torch_row(x: list[float]) -> torch.Tensor:
    """Return a row as the model takes it, (1, D)."""
    return torch.tensor([x], dtype=torch.float32)


def test_stalled_compute_is_told_and_recovers(checkpoints: Path) -> None:
    """What waits gets 503, `/readyz` fails, then `/livez`; when it is over, neither."""
    with (
        process(settings(checkpoints), module=FAULTY) as (address, _),
        plain_http.Client(base_url=address, timeout=SECONDS) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        stuck = pool.submit(
            httpx.post,
            f"{address}/encode",
            json={"x": [row(STALL, 0)]},
            timeout=SECONDS,
        )
        until(lambda: client.get("/readyz").status_code == 503)
        alive = client.get("/livez").status_code
        refused = client.post("/encode", json={"x": [row(0.5, 1)]})
        until(lambda: client.get("/livez").status_code == 503)
        until(lambda: client.get("/livez").status_code == 200)
        until(lambda: client.get("/readyz").status_code == 200)
        after = client.post("/encode", json={"x": [row(0.5, 1)]})
        waiting = stuck.result(SECONDS)

    assert alive == 200
    assert (waiting.status_code, refused.status_code) == (503, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert "stalled" in waiting.json()["detail"]
    assert after.status_code == 200


def test_a_client_that_goes_costs_no_compute(checkpoints: Path) -> None:
    """What no machine finishes ends when its client has gone."""
    environment = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_MAX_WORK": str(1 << 40),
    }

    with process(environment) as (address, running):
        at = address.removeprefix("http://")
        leaving = http.client.HTTPConnection(at, timeout=SECONDS)
        leaving.request(
            "POST", "/elbo", LONG_BODY, {"content-type": "application/json"}
        )
        until(lambda: counted(address, 'vae_batch_rows_count{operation="elbo"}') > 2)
        leaving.close()
        until(lambda: counted(address, "vae_requests_in_flight") == 1)
        n_counted = counted(address, 'vae_requests_total{route="/elbo",status="499"}')
        until(lambda: is_idle(running.pid))

    assert n_counted == 1


def is_idle(pid: int) -> bool:
    """Return whether a process computes next to nothing in a second."""
    before = cpu_seconds(pid)
    time.sleep(1)
    return cpu_seconds(pid) - before < 0.2


def test_a_worker_that_is_killed_is_replaced(checkpoints: Path) -> None:
    """The other one answers meanwhile; then there are two again, and both answer."""
    environment = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_WORKERS": "2",
    }
    asked = {"x": [[0.5] * 16]}

    def ask(address: str) -> bytes:
        answer = plain_http.post(f"{address}/encode", json=asked, timeout=SECONDS)
        assert answer.status_code == 200
        return answer.content

    with process(environment) as (address, running):
        wanted = ask(address)
        killed, other = workers(running.pid)
        os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in workers(running.pid))
        until(lambda: len(workers(running.pid)) == 2)
        meanwhile = {ask(address) for _ in range(20)}
        (new,) = set(workers(running.pid)) - {other}
        os.kill(other, signal.SIGKILL)  # now all depends on the new one
        after = ask(address)

    assert meanwhile == {wanted}
    assert after == wanted
    assert new not in {killed, other}


@pytest.mark.parametrize("path", ["/reconstruct", "/sample"])
def test_a_request_that_needs_more_memory_than_there_is_is_told_so(
    checkpoints: Path, path: str
) -> None:
    """It gets 503, nothing internal; the next request is answered as before."""
    greedy = {
        "/reconstruct": {"x": [[0] * 16] * 3000, "n_samples": 10_000},
        "/sample": {"n": 100_000_000},
    }
    honest = {"x": [[0.5] * 16]}
    environment = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "VAE_MAX_ROWS": str(1 << 30),
        "VAE_MAX_OUTPUT_VALUES": str(1 << 40),
        "VAE_MAX_WORK": str(1 << 40),
    }

    with (
        process(environment) as (address, running),
        plain_http.Client(base_url=address, timeout=SECONDS) as client,
    ):
        wanted = client.post("/encode", json=honest)
        status = Path(f"/proc/{running.pid}/status").read_text()
        used = int(re.findall(r"VmSize:\s+(\d+) kB", status)[0]) << 10
        limit = used + (200 << 20)
        resource.prlimit(running.pid, resource.RLIMIT_AS, (limit, limit))
        response = client.post(path, json=greedy[path])
        after = client.post("/encode", json=honest)

    assert response.status_code == 503
    assert "memory" in response.json()["detail"]
    assert after.content == wanted.content
