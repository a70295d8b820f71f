"""
Prometheus reads the service's metrics, and answers every query of the dashboard.

It is Debian's `prometheus`, with the configuration of `deploy/prometheus`.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.processes import ROOT, process, until
from tests.test_observe import QUERIES

CONFIGURATION = ROOT / "deploy/prometheus/prometheus.yml"
RATE = "$__rate_interval"  # Grafana's
RANGE = "30s"  # at least two scrapes, which are 5 s apart

pytestmark = [
    pytest.mark.external,
    pytest.mark.slow("starts processes"),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="it is absent"),
]


@pytest.fixture(scope="module")
def prometheus(
    checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """Start the service and Prometheus; return a client of the latter's API."""
    folder = tmp_path_factory.mktemp("prometheus")
    written = CONFIGURATION.read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with process({"VAE_CHECKPOINT": str(checkpoints / "bernoulli")}) as (url, _):
        file = folder / "prometheus.yml"
        file.write_text(written.replace("api:8000", url.removeprefix("http://")))
        command = ["prometheus", f"--config.file={file}"]
        command += [f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address=127.0.0.1:{port}"]
        with (
            subprocess.Popen(command, stderr=subprocess.DEVNULL) as running,
            httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1") as client,
        ):
            try:
                until(lambda: used(url) and series(client, "up == 1") != [])
                yield client
            finally:
                running.terminate()


def used(url: str) -> bool:
    """Ask the service for something of everything that is counted."""
    for path in ("/sample?n=2", "/nope"):
        httpx.get(f"{url}{path}")
    analysis = {"x": [[0] * 16], "n_samples": 2}
    return httpx.post(f"{url}/loglik", json=analysis).status_code == 200


def series(client: httpx.Client, query: str) -> list[Any]:
    """Return the answer to a query; nothing while Prometheus starts."""
    try:
        response = client.get("/query", params={"query": query})
    except httpx.TransportError:
        return []
    assert response.status_code in {200, 503}, response.text
    found: list[Any] = response.json()["data"]["result"] if response.is_success else []
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["expr"][:40])
def test_every_query_of_the_dashboard_has_an_answer(
    prometheus: httpx.Client, query: dict[str, str]
) -> None:
    """As soon as Prometheus has asked twice."""
    expression = query["expr"].replace(RATE, RANGE)

    until(lambda: series(prometheus, expression) != [])
