"""The bits of an answer are those of the request, whatever else is asked meanwhile."""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from safetensors.numpy import save

from model.config import Mlp
from tests.app import streams
from tests.app.processes import process
from tests.tiny import save_tiny, tiny_config, tiny_vae

N_REQUESTS = 2000
N_CONNECTIONS = 64
DATA_DIM, LATENT_DIM = 784, 20
BINARY = "application/vnd.safetensors"
# Mostly single rows, some on both sides of where kernels and tiles change.
SIZES = (1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 9)
BINARY_SIZES = (*SIZES, 31, 33, 127, 129, 300)


@pytest.fixture(scope="module", params=["onnx", "torch"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Serve a network of AEVB's kind and data, narrower, with random weights."""
    network = Mlp(kind="mlp", hidden=(100,), activation="tanh")
    config = tiny_config(
        "bernoulli", data_shape=(28, 28), network=network, latent_dim=LATENT_DIM
    )
    path = save_tiny(tmp_path_factory.mktemp("bits") / "aevb", tiny_vae(config))
    with process({"VAE_CHECKPOINT": str(path), "VAE_BACKEND": request.param}) as (
        address,
        _,
    ):
        yield address


@pytest.fixture(scope="module")
def different_requests() -> Sequence[bytes]:
    """Return requests of all operations, formats and many sizes, no two alike."""
    draw = np.random.default_rng(5)
    return [_request(i, draw) for i in range(N_REQUESTS)]


def _request(i: int, draw: np.random.Generator) -> bytes:
    operation = ("encode", "decode", "elbo", "sample")[i % 4]
    accept = {"accept": BINARY if i % 3 == 0 else "application/json"}
    if operation == "sample":
        params = {"n": str(draw.choice(SIZES)), "seed": str(i), "draw": "sample"}
        return _post("sample", params, accept, b"")
    params = {"seed": str(i), "n_samples": "2"} if operation == "elbo" else {}
    is_binary = bool(draw.integers(2))
    n = int(draw.choice(BINARY_SIZES if is_binary else SIZES))
    name, width = ("z", LATENT_DIM) if operation == "decode" else ("x", DATA_DIM)
    rows = draw.standard_normal((n, width), dtype=np.float32)
    if operation == "encode":
        rows = draw.random((n, width), dtype=np.float32)
    elif operation == "elbo":
        rows = (rows > 0).astype(np.float32)
    if is_binary:
        headers = {"content-type": BINARY, **accept}
        return _post(operation, params, headers, save({name: rows}))
    headers = {"content-type": "application/json", **accept}
    body: dict[str, Any] = {name: rows.tolist()}
    return _post(operation, params, headers, json.dumps(body).encode())


def _post(
    operation: str, params: dict[str, str], headers: dict[str, str], body: bytes
) -> bytes:
    return streams.request("POST", f"/{operation}?{urlencode(params)}", headers, body)


async def digests(
    address: str, asked: Sequence[bytes], *, n_connections: int
) -> list[bytes]:
    """Return the hash of each response's body, so many requests being under way."""
    host, port = address.removeprefix("http://").split(":")
    found = [b""] * len(asked)
    remaining = iter(enumerate(asked))

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for i, request in remaining:
            writer.write(request)
            response = await streams.read(reader)
            assert response.status == 200, response
            found[i] = hashlib.sha256(response.body).digest()
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(n_connections):
            group.create_task(ask())
    return found


@pytest.mark.slow("starts processes")
def test_answers_have_the_same_bytes_alone_and_under_load(
    address: str, different_requests: Sequence[bytes]
) -> None:
    """2,000 different requests, one by one and then 64 at a time in another order."""
    asked = different_requests
    order = np.random.default_rng(6).permutation(N_REQUESTS)

    alone = asyncio.run(digests(address, asked, n_connections=1))
    crowded = asyncio.run(
        digests(address, [asked[i] for i in order], n_connections=N_CONNECTIONS)
    )

    assert len(set(alone)) == N_REQUESTS
    assert crowded == [alone[i] for i in order]
