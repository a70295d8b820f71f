"""
Compare the responses of two versions of the service, byte by byte.

    python -m benchmarks.same_responses PATH_TO_ANOTHER_CHECKOUT [--allow /openapi.json]

Both serve the same checkpoints. Some 300 seeded requests, of every call, format and
kind of error, go to each. Status, headers and body must be equal; only the request id
and times may differ. Every difference is printed; the exit status is 1 if there is one.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save as to_safetensors

from benchmarks import checkpoints
from benchmarks.processes import ROOT
from model.config import Config, LikelihoodConfig, Mlp
from model.data_config import Data
from model.vae import VAE, initial_vae

_VOLATILE = {"x-request-id", "date", "server-timing"}
_START_SECONDS = 120.0
_SAFETENSORS, _NPY = "application/vnd.safetensors", "application/x-npy"


class Request(NamedTuple):
    """One request, ready to be sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


class Response(NamedTuple):
    """A response without the parts that differ from one request to the next."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def table() -> VAE:
    """Return a Gaussian model of standardized rows of 5 numbers, J = 2."""
    layers = Mlp(kind="mlp", hidden=(8,), activation="tanh")
    config = Config(
        format_version=1,
        data_shape=(5,),
        latent_dim=2,
        likelihood=LikelihoodConfig(kind="gaussian", sigma_floor=0.1),
        encoder=layers,
        decoder=layers,
        data=Data(
            name="random weights",
            divided_by=1.0,
            binarization="none",
            standardized=True,
        ),
    )
    return initial_vae(config, seed=checkpoints.SEED)


def as_json(document: object, **headers: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a JSON request."""
    return {"content-type": "application/json", **headers}, json.dumps(
        document
    ).encode()


def npy(values: np.ndarray) -> bytes:
    """Return an array as a `.npy` file."""
    with tempfile.TemporaryFile() as file:
        np.save(file, values)
        file.seek(0)
        return file.read()


def requests(data_shape: tuple[int, ...], latent_dim: int) -> Iterator[Request]:
    """Yield the requests to a model of this shape, always the same."""
    generator = np.random.default_rng(7)
    dim = int(np.prod(data_shape))
    x = (generator.random((2, dim)) < 0.3).astype(np.float32)
    z = generator.standard_normal((2, latent_dim)).astype(np.float32)
    mask = (np.arange(dim) % 3 > 0).astype(np.float32)[None].repeat(2, 0)
    rows = {"x": x.tolist()}
    shaped = {"x": x.reshape(2, *data_shape).tolist()}
    for document, path in _json_documents(rows, shaped, z, mask):
        for accept in ("application/json", _SAFETENSORS, _NPY, "image/png", "text/css"):
            headers, body = as_json(document, accept=accept)
            yield Request("POST", path, headers, body)
    yield from _binary(x, z, mask)
    yield from _faulty(rows, z)
    yield from _reads()


def _json_documents(
    rows: dict[str, object],
    shaped: dict[str, object],
    z: np.ndarray,
    mask: np.ndarray,
) -> Iterator[tuple[dict[str, object], str]]:
    two = {"z": z[:2].tolist()}
    yield rows, "/encode"
    yield shaped, "/encode"
    yield {"z": z.tolist()}, "/decode"
    yield {"n": 3, "seed": 1}, "/sample"
    yield {"n": 3, "seed": 1, "draw": "sample", "temperature": 0.5}, "/sample"
    yield {**rows, "seed": 3}, "/elbo"
    yield {**rows, "seed": 3, "n_samples": 7}, "/elbo"
    yield {**rows, "seed": 3, "binarize": "sample"}, "/elbo"
    yield {**rows, "seed": 3, "n_samples": 16}, "/loglik"
    yield {**rows, "seed": 3, "target": 0.5, "budget": 512}, "/loglik"
    yield {**rows, "seed": 3, "budget": 512}, "/gap"
    yield {**rows, "seed": 3}, "/refine"
    yield {**rows, "seed": 3}, "/posterior"
    yield {**rows, "seed": 3}, "/anomaly"
    yield {**rows, "mask": mask.tolist(), "seed": 3, "n_draws": 64}, "/impute"
    yield two, "/interpolate"
    yield {**two, "n": 4, "path": "straight"}, "/interpolate"
    yield {"z": z[:1].tolist(), "n": 3}, "/traverse"
    yield {"z": z[:1].tolist(), "n": 3, "dims": [1]}, "/traverse"


def _binary(x: np.ndarray, z: np.ndarray, mask: np.ndarray) -> Iterator[Request]:
    for path, name, values, query in (
        ("/encode", "x", x, ""),
        ("/decode", "z", z, ""),
        ("/elbo", "x", x, "?seed=5&n_samples=3"),
        ("/loglik", "x", x, "?seed=5&n_samples=8"),
        ("/refine", "x", x, "?seed=5"),
        ("/interpolate", "z", z[:2], "?n=3"),
    ):
        for accept in ("application/json", _SAFETENSORS, _NPY):
            for kind, body in (
                (_SAFETENSORS, to_safetensors({name: values})),
                (_NPY, npy(values)),
                (_NPY, npy(values.astype(np.float64))),
            ):
                headers = {"content-type": kind, "accept": accept}
                yield Request("POST", path + query, headers, body)
    tensors = to_safetensors({"x": x, "mask": mask})
    headers = {"content-type": _SAFETENSORS}
    yield Request("POST", "/impute?seed=5&n_draws=32", headers, tensors)


def _faulty(rows: dict[str, object], z: np.ndarray) -> Iterator[Request]:
    paths = (
        *("/encode", "/decode", "/sample", "/elbo", "/loglik", "/gap", "/refine"),
        *("/posterior", "/anomaly", "/impute", "/interpolate", "/traverse"),
    )
    bodies: tuple[tuple[str, bytes], ...] = (
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b'{"x": [[1, 2]]}'),
        ("application/json", b'{"x": [["1"]], "z": [[true]]}'),
        ("application/json", b'{"x": [[NaN]], "z": [[1e999]]}'),
        ("application/json", b'{"unknown": 1}'),
        ("application/json", b'{"seed": -1, "n": 0, "n_samples": 0}'),
        ("text/plain", b"hello"),
        (_SAFETENSORS, b"\x00" * 9),
        (_NPY, b"\x93NUMPY"),
        ("image/png", b"\x89PNG"),
    )
    for path in paths:
        for kind, body in bodies:
            yield Request("POST", path, {"content-type": kind}, body)
        yield Request("GET", f"{path}?n=2&seed=4&unknown=1", {}, None)
        yield Request("POST", path, {}, b"{}")
    headers, body = as_json({"x": rows["x"], "z": z.tolist()})
    yield Request("POST", "/interpolate", headers, body)


def _reads() -> Iterator[Request]:
    for path in ("/model", "/examples", "/livez", "/readyz", "/", "/docs", "/missing"):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            yield Request(method, path, {}, None)
    yield Request("GET", "/openapi.json", {}, None)
    yield Request("GET", "/explorer/main.js", {}, None)
    yield Request("GET", "/sample?n=2&seed=4", {"accept": "image/png"}, None)
    yield Request("HEAD", "/sample?n=2&seed=4", {}, None)
    yield Request("GET", "/sample?n=2&seed=4&scale=2", {"accept": "image/*"}, None)


class Server:
    """The service of one checkout, serving one checkpoint."""

    def __init__(self, checkout: Path, checkpoint: Path, log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=checkout,
            env={
                **os.environ,
                "VAE_CHECKPOINT": str(checkpoint),
                "VAE_PORT": "0",
                "VAE_THREADS": "1",
                "VAE_DRAIN_DELAY": "0",
                "PYTHONPATH": str(checkout),
            },
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "http://127.0.0.1:" in line:
                self.port = int(
                    line.split("http://127.0.0.1:")[1].split("/")[0].split()[0]
                )
                return
        raise RuntimeError(f"the service of {checkout} did not start: see {log}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def close(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.wait(60)
        self._log.close()

    def ask(self, request: Request) -> Response:
        """Send a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(
            request.method, request.target, request.body, request.headers
        )
        answered = connection.getresponse()
        body = answered.read()
        headers = answered.getheaders()
        connection.close()
        request_id = dict(headers).get("x-request-id", "")
        return Response(
            answered.status,
            tuple(sorted((n, v) for n, v in headers if n not in _VOLATILE)),
            body.replace(request_id.encode(), b"") if request_id else body,
        )


def compare(old: Server, new: Server, asked: list[Request], allowed: set[str]) -> int:
    """Print how the responses differ; return how many do."""
    n_different = 0
    for request in asked:
        before, after = old.ask(request), new.ask(request)
        if before == after:
            continue
        is_allowed = request.target.split("?")[0] in allowed
        n_different += not is_allowed
        print(
            f"{'allowed' if is_allowed else 'DIFFERENT'}: {request.method} "
            f"{request.target} {request.headers} {(request.body or b'')[:60]!r}"
        )
        for name, one, other in zip(Response._fields, before, after, strict=True):
            if one != other:
                print(f"  {name}: {str(one)[:400]}\n   now: {str(other)[:400]}")
    return n_different


def main() -> int:
    """Compare; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("other", type=Path, help="a checkout of the other version")
    parser.add_argument("--allow", nargs="*", default=[], help="paths that may differ")
    options = parser.parse_args()
    n_asked = n_different = 0
    with tempfile.TemporaryDirectory() as folder:
        models = {
            (28, 28): (20, ROOT / "released/mnist"),
            (5,): (2, checkpoints.save(table(), Path(folder) / "table")),
        }
        for shape, (latent_dim, path) in models.items():
            started = time.monotonic()
            old = Server(options.other.resolve(), path, Path(folder) / "old.log")
            new = Server(ROOT, path, Path(folder) / "new.log")
            try:
                asked = list(requests(shape, latent_dim))
                n_different += compare(old, new, asked, set(options.allow))
                n_asked += len(asked)
            finally:
                old.close()
                new.close()
            print(
                f"{path.name}: {len(asked)} requests, "
                f"{time.monotonic() - started:.0f} s"
            )
    print(f"{n_asked} requests, {n_different} different")
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
