"""Requests, their right responses, and the format that each server uses."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

from model.elbo import elbo
from model.noise import Stream, standard_normal
from model.vae import VAE

JSON = "application/json"
SAFETENSORS = "application/vnd.safetensors"

_TOLERANCE = 1e-4  # of the largest value
_BODY_BYTES = 1 << 18  # of one kind in rotation, at least two of them
_MOST_BODIES = 16

Values = NDArray[Any]
Check = Callable[[bytes], None]


class Encoding(NamedTuple):
    """mu and log_var, (N, J)."""

    mu: Values
    log_var: Values


@dataclass(frozen=True, eq=False)
class Request:
    """
    A POST request and what is wrong with an answer to it.

    Attributes:
        n_rows: How many rows it asks about.
        check: Raises AssertionError for a wrong answer.
    """

    path: str
    media_type: str
    body: bytes
    n_rows: int
    check: Check

    def wire(self) -> bytes:
        """Return the request as it is sent."""
        return (
            f"POST {self.path} HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\n"
            f"Content-Type: {self.media_type}\r\n"
            f"Accept: {self.media_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        ).encode() + self.body


@dataclass(frozen=True)
class Dialect:
    """How a server wants rows to encode, and how it answers."""

    path: str
    media_type: str
    write: Callable[[Values], bytes]
    read: Callable[[bytes], Encoding]


def _json(x: Values) -> bytes:
    return json.dumps({"x": x.tolist()}).encode()


def _read_json(answer: bytes) -> Encoding:
    document = json.loads(answer)
    return Encoding(np.array(document["mu"]), np.array(document["log_var"]))


def _read_side_by_side(answer: bytes) -> Encoding:
    mu, log_var = np.split(np.array(json.loads(answer)), 2, axis=1)
    return Encoding(mu, log_var)


def _v2(x: Values) -> bytes:
    entry = {"name": "x", "shape": x.shape, "datatype": "FP32"}
    return json.dumps({"inputs": [{**entry, "data": x.ravel().tolist()}]}).encode()


def _read_v2(answer: bytes) -> Encoding:
    outputs = {o["name"]: o for o in json.loads(answer)["outputs"]}
    return Encoding(
        *(
            np.array(outputs[name]["data"]).reshape(outputs[name]["shape"])
            for name in Encoding._fields
        )
    )


def _safetensors(x: Values) -> bytes:
    return save({"x": x.astype(np.float32)})


def _read_safetensors(answer: bytes) -> Encoding:
    tensors = load(answer)
    return Encoding(tensors["mu"], tensors["log_var"])


def unseen(_: bytes) -> None:
    """Accept any answer: that of a server that does nothing."""


NATIVE = Dialect("/encode", JSON, _json, _read_json)
BINARY = Dialect("/encode", SAFETENSORS, _safetensors, _read_safetensors)
BENTO = Dialect("/encode", JSON, _json, _read_side_by_side)
V2 = Dialect("/v2/models/vae/infer", JSON, _v2, _read_v2)


@torch.inference_mode()
def encodings(
    vae: VAE, dialect: Dialect, n_rows: int, *, n_requests: int | None = None
) -> tuple[Request, ...]:
    """
    Return requests to encode rows of full-precision floats in [0, 1].

    Args:
        n_requests: How many; without it, as many as a load needs.
    """
    requests: list[Request] = []
    rng = np.random.default_rng(0)
    while not _enough(requests) if n_requests is None else len(requests) < n_requests:
        x = rng.random((n_rows, vae.config.data_dim))
        q_z = vae.encode(torch.from_numpy(x.astype(np.float32)))
        want = Encoding(q_z.mu.numpy(), q_z.log_var.numpy())
        requests.append(
            Request(
                dialect.path,
                dialect.media_type,
                dialect.write(x),
                n_rows,
                _encoding_check(want, dialect.read),
            )
        )
    return tuple(requests)


def unchecked(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Return the same requests to a server that answers a constant."""
    return tuple(
        Request(r.path, r.media_type, r.body, r.n_rows, unseen) for r in requests
    )


@torch.inference_mode()
def samples(vae: VAE, n: int) -> tuple[Request, ...]:
    """Return requests for n draws, each with its own seed."""
    requests: list[Request] = []
    for seed in range(_MOST_BODIES):
        shape = (n, vae.config.latent_dim)
        z = standard_normal(shape, seed=seed, stream=Stream.LATENT)
        want = {"x": vae.decode(torch.from_numpy(z)).mean.numpy(), "z": z}
        body = json.dumps({"n": n, "seed": seed}).encode()
        requests.append(Request("/sample", JSON, body, n, _members_check(want)))
    return tuple(requests)


def naive_samples(n: int, data_dim: int) -> tuple[Request, ...]:
    """Return a request for n draws without a seed; only their range can be checked."""

    def check(answer: bytes) -> None:
        x = np.array(json.loads(answer)["x"])
        assert x.shape == (n, data_dim)
        assert ((x >= 0) & (x <= 1)).all()

    return (Request("/sample", JSON, json.dumps({"n": n}).encode(), n, check),)


@torch.inference_mode()
def elbos(vae: VAE, n_rows: int) -> tuple[Request, ...]:
    """Return requests for the ELBO of binary rows, each with its own seed."""
    requests = []
    for seed, x in enumerate(_binary_rows(vae, n_rows)):
        shape = (n_rows, 1, vae.config.latent_dim)  # (N, K, J)
        eps = torch.from_numpy(standard_normal(shape, seed=seed, stream=Stream.LATENT))
        want = elbo(vae, torch.from_numpy(x), eps=eps.transpose(0, 1))
        body = json.dumps({"x": x.tolist(), "seed": seed}).encode()
        check = _members_check({"elbo": want.bound.numpy(), "kl": want.kl.numpy()})
        requests.append(Request("/elbo", JSON, body, n_rows, check))
    return tuple(requests)


@torch.inference_mode()
def naive_elbos(vae: VAE, n_rows: int) -> tuple[Request, ...]:
    """Return the same without a seed; only the KL divergence can be checked."""
    requests = []
    for x in _binary_rows(vae, n_rows):
        kl = vae.encode(torch.from_numpy(x)).kl_to_standard_normal().sum(dim=1)
        check = _members_check({"kl": kl.numpy()})
        requests.append(Request("/elbo", JSON, _json(x), n_rows, check))
    return tuple(requests)


def assert_close(got: Values, want: Values) -> None:
    """Assert that no value is off by more than 1e-4 of the largest."""
    got = got.reshape(want.shape)
    error = float(np.abs(got - want).max() / np.abs(want).max())
    assert error <= _TOLERANCE, f"an answer is off by {error:.2g} of the largest value"


def _binary_rows(vae: VAE, n_rows: int) -> list[Values]:
    rng = np.random.default_rng(0)
    shape = (n_rows, vae.config.data_dim)
    return [rng.integers(0, 2, shape).astype(np.float32) for _ in range(4)]


def _enough(requests: Sequence[Request]) -> bool:
    size = sum(len(request.body) for request in requests)
    return len(requests) > 1 and (size >= _BODY_BYTES or len(requests) == _MOST_BODIES)


def _encoding_check(want: Encoding, read: Callable[[bytes], Encoding]) -> Check:
    def check(answer: bytes) -> None:
        got = read(answer)
        assert_close(got.mu, want.mu)
        assert_close(got.log_var, want.log_var)

    return check


def _members_check(want: dict[str, Values]) -> Check:
    def check(answer: bytes) -> None:
        document = json.loads(answer)
        for name, values in want.items():
            assert_close(np.array(document[name]), values)

    return check
