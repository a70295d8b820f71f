"""
The service in Ray Serve answers as it does alone, and Ray Data encodes the same bits.

`make test-ray` makes the environment that has Ray.
"""

import dataclasses
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import httpx
import numpy as np
import pytest

from model.engine import Engine
from tests.app.damages import flip_a_bit
from tests.app.processes import SECONDS, process, until
from tests.client.vae_client.asynchronous.test_analyses import save_full
from vae_client import Client

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("EXTERNAL_RAY", "nowhere")) / "python"
MIDDLEWARES = "deploy.ray.proxy:middlewares"
N_BULK = 20_000
X = np.random.default_rng(0).integers(0, 2, (5, 16)).astype(np.float32)
Z = np.random.default_rng(1).standard_normal((3, 2)).astype(np.float32)
MASK = np.tile([True, True, False, True], 4)
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "model": ((), {}),
    "examples": ((), {}),
    "encode": ((X,), {}),
    "decode": ((Z,), {}),
    "sample": ((7,), {"seed": 3, "draw": "sample"}),
    "elbo": ((X,), {"n_samples": 5, "seed": 3}),
    "reconstruct": ((X,), {"n_samples": 2, "seed": 3}),
    "interpolate": ((), {"x": X[:2]}),
    "traverse": ((), {"x": X[:1]}),
    "loglik": ((X,), {"n_samples": 3, "seed": 3}),
    "gap": ((X,), {"target": 0.5, "budget": 256, "seed": 3}),
    "refine": ((X,), {"seed": 3}),
    "posterior": ((X[:1],), {"seed": 3}),
    "anomaly": ((X,), {"seed": 3}),
    "impute": ((X, np.tile(MASK, (5, 1))), {"n_samples": 2, "n_draws": 64, "seed": 3}),
}


@final
class Driver:
    """The process that runs Ray."""

    def __init__(self, checkpoint: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        others = {k: v for k, v in os.environ.items() if not k.startswith("VAE_")}
        self._process = subprocess.Popen(
            [str(PYTHON), "-m", "tests.external.ray_driver", str(port)],
            cwd=ROOT,
            env={
                **others,
                "VAE_CHECKPOINT": str(checkpoint),
                "PYTHONPATH": str(ROOT),
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": MIDDLEWARES,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "serving"

    def ask(self, *words: object) -> str:
        """Return the answer to a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("answer: "):
                return line.removeprefix("answer: ").strip()
        raise AssertionError(f"Ray ended with {self._process.wait()}")

    def end(self) -> None:
        """End Ray."""
        self._process.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint that every call can be asked of."""
    return save_full(tmp_path_factory.mktemp("full") / "plane")


@pytest.fixture(scope="module")
def driver(path: Path) -> Iterator[Driver]:
    """Serve a checkpoint in Ray."""
    if not PYTHON.exists():
        pytest.skip("Ray is absent: make test-ray")
    driver = Driver(path)
    try:
        yield driver
    finally:
        driver.end()


def values(result: Any) -> Any:
    """Return the fields of a result of the client, of their fields, and so on."""
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        return {name: values(value) for name, value in result._asdict().items()}
    if dataclasses.is_dataclass(result):
        names = (field.name for field in dataclasses.fields(result))
        return {name: values(getattr(result, name)) for name in names}
    return result


def test_every_call_is_answered_as_without_ray(driver: Driver, path: Path) -> None:
    """To the bit, through the Python client."""
    with (
        process({"VAE_CHECKPOINT": str(path)}) as (address, _),
        Client(address) as alone,
        Client(driver.url) as in_ray,
    ):
        verbs = {name for name in dir(Client) if not name.startswith("_")}
        found = {
            verb: [values(getattr(c, verb)(*args, **named)) for c in (alone, in_ray)]
            for verb, (args, named) in CALLS.items()
        }

    assert verbs - CALLS.keys() == {"close", "from_environment", "wait_ready"}
    for verb, (wanted, got) in found.items():
        np.testing.assert_equal(got, wanted, err_msg=verb)


def test_a_response_has_one_request_id(driver: Driver) -> None:
    """That of the client, in the header and in the problem; Ray adds it, too."""
    sent = {"x-request-id": "mine-1", "content-type": "application/json"}

    refused = httpx.post(f"{driver.url}/encode", content=b"{", headers=sent)
    given = httpx.post(
        f"{driver.url}/encode", content=b"{", headers={**sent, "x-request-id": ""}
    )

    assert refused.status_code == 422
    assert refused.headers.get_list("x-request-id") == ["mine-1"]
    assert refused.json()["request_id"] == "mine-1"
    assert len(given.headers.get_list("x-request-id")) == 1


def test_a_checkpoint_that_cannot_be_served_is_an_error(
    driver: Driver,
    path: Path,
    tmp_path: Path,
) -> None:
    """It says why, and what is served stays."""
    bad = tmp_path / "bad"
    shutil.copytree(path, bad)
    flip_a_bit(bad)

    why = driver.ask("refused", bad)

    assert "model.safetensors: expected sha256" in why
    assert httpx.get(f"{driver.url}/readyz").status_code == 200


def test_a_load_starts_a_replica_and_a_killed_one_loses_nothing(
    driver: Driver,
    path: Path,
) -> None:
    """Ray scales to two by the load; every answer has the right bits."""
    wanted = Engine.load(path, device="cpu", backend="auto", n_threads=1).encode(X).mu
    stop, failures, n_right = threading.Event(), [], []

    def ask() -> None:
        with Client(driver.url) as vae:
            while not stop.is_set():
                try:
                    n_right.append(np.array_equal(vae.encode(X).mu, wanted))
                except Exception as error:  # noqa: BLE001  any is a lost request
                    failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: driver.ask("replicas") == "2")
        before = len(n_right)
        driver.ask("kill")
        until(lambda: len(n_right) > before + 100)
        until(lambda: driver.ask("replicas") == "2")
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert failures == []
    assert all(n_right)


def test_ray_data_encodes_as_the_engine_does(
    driver: Driver,
    path: Path,
    tmp_path: Path,
) -> None:
    """Many files, 20,000 rows, every bit."""
    x = np.random.default_rng(2).random((N_BULK, 16), dtype=np.float32)
    files = [tmp_path / f"part{i}.npy" for i in range(3)]
    for file, part in zip(files, np.array_split(x, 3), strict=True):
        np.save(file, part)
    engine = Engine.load(path, device="cpu", backend="auto", n_threads=1)

    assert driver.ask("encode", path, tmp_path / "codes", *files) == "0"

    with np.load(
        driver.ask("codes", tmp_path / "codes", tmp_path / "codes.npz")
    ) as got:
        wanted = engine.encode(x)
        assert got["mu"].tobytes() == wanted.mu.tobytes()
        assert got["log_var"].tobytes() == wanted.log_var.tobytes()
