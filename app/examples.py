"""Requests that run against the served model, for its API documentation."""

from typing import Any, final

import numpy as np

from app.engine import Engine
from model.analyses import MAX_LATENT_DIM

MAX_EXAMPLE_DIM = 4096
_DIGITS = 4
_SEED = 42


@final
class Examples:
    """One request per operation, made of the prior's mean and what it decodes to."""

    def __init__(self, engine: Engine) -> None:
        config = engine.checkpoint.config
        z = np.zeros((1, config.latent_dim), np.float32)
        mean = engine.decode(z).mean.astype(np.float64)
        if config.likelihood.kind == "bernoulli":
            mean = (mean >= 0.5).astype(np.int64)
        x = mean.round(_DIGITS).tolist()
        with_x = {"x": x} if config.data_dim <= MAX_EXAMPLE_DIM else None
        self._bodies: dict[str, dict[str, Any] | None] = {
            "encode": with_x,
            "decode": {"z": z.tolist()},
            "sample": {"n": 2, "seed": _SEED},
            "elbo": with_x and {**with_x, "n_samples": 8, "seed": _SEED},
            "loglik": with_x and {**with_x, "n_samples": 100, "seed": _SEED},
            "gap": with_x and {**with_x, "target": 0.05, "seed": _SEED},
            "refine": with_x and {**with_x, "seed": _SEED},
            "posterior": with_x if config.latent_dim <= MAX_LATENT_DIM else None,
        }
        self._parameters = {"sampleByQuery": {"n": 2, "seed": _SEED}}

    def body(self, operation: str) -> dict[str, Any] | None:
        """Return a JSON body; None if it would be too long to read."""
        return self._bodies.get(operation)

    def parameter(self, operation: str, name: str) -> int | None:
        """Return the value of a query parameter, if it has an example."""
        return self._parameters.get(operation, {}).get(name)
