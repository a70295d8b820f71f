"""FastAPI as most tutorials write it: lists of floats, `async def`, `.tolist()`."""

import os
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.peers.network import decoder, encoder


class Rows(BaseModel):
    """The body of /encode and /elbo."""

    x: list[list[float]]


class Draws(BaseModel):
    """The body of /sample."""

    n: int


def images() -> FastAPI:
    """Serve a convolutional encoder."""
    return _with_encode(FastAPI(), _weights())


def digits() -> FastAPI:
    """Serve an MLP: /encode, /sample and /elbo."""
    app, path = FastAPI(), _weights()
    encode, decode = encoder(path), decoder(path)

    # No annotation of what comes back, as in the tutorials: it would be validated.
    @app.post("/sample", response_model=None)
    async def sample(draws: Draws) -> Any:
        with torch.no_grad():
            z = torch.randn(draws.n, decode[0][0].in_features)  # type: ignore[index]  # a Sequential of a Sequential
            x = torch.sigmoid(decode(z))
        return {"x": x.tolist(), "z": z.tolist()}

    @app.post("/elbo", response_model=None)
    async def elbo(rows: Rows) -> Any:
        with torch.no_grad():
            x = torch.tensor(rows.x)
            mu, log_var = encode(x)
            z = mu + torch.exp(log_var / 2) * torch.randn_like(mu)
            losses = binary_cross_entropy_with_logits(decode(z), x, reduction="none")
            log_likelihood = -losses.sum(dim=1)
            kl_per_dim = (mu**2 + log_var.exp() - 1 - log_var) / 2
            kl = kl_per_dim.sum(dim=1)
        return {
            "elbo": (log_likelihood - kl).tolist(),
            "log_likelihood": log_likelihood.tolist(),
            "kl": kl.tolist(),
            "kl_per_dim": kl_per_dim.tolist(),
        }

    return _with_encode(app, path)


def _weights() -> Path:
    return Path(os.environ["WEIGHTS"])


def _with_encode(app: FastAPI, path: Path) -> FastAPI:
    network = encoder(path)

    @app.post("/encode", response_model=None)
    async def encode(rows: Rows) -> Any:
        with torch.no_grad():
            mu, log_var = network(torch.tensor(rows.x))
        return {"mu": mu.tolist(), "log_var": log_var.tolist()}

    return app
