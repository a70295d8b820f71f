"""Requests that run against the served model, for its API documentation."""

from typing import Any, final

import numpy as np

from app.analysis.anomaly_endpoints import usable
from app.wire.images.pictures import Images
from model.engine import Engine
from model.inference.analyses import MAX_LATENT_DIM

MAX_EXAMPLE_DIM = 4096
_DIGITS = 4
_SEED = 42
_SUMMARY = "this model"
_WITH_X: dict[str, dict[str, Any]] = {
    "encode": {},
    "elbo": {"n_samples": 8, "seed": _SEED},
    "loglik": {"n_samples": 100, "seed": _SEED},
    "gap": {"target": 0.05, "seed": _SEED},
    "refine": {"seed": _SEED},
    "posterior": {},
    "anomaly": {"seed": _SEED},
    "impute": {"seed": _SEED},
    "traverse": {"n": 5},
}


@final
class Examples:
    """One request per operation, made of the prior's mean and what it decodes to."""

    def __init__(self, engine: Engine, images: Images | None) -> None:
        config = engine.checkpoint.config
        moments = engine.prior_moments
        z = moments.mean.astype(np.float32)[None]
        sigma = moments.standard_deviation.astype(np.float32)
        mean = engine.decode(z).mean.astype(np.float64)
        if config.likelihood.kind == "bernoulli":
            mean = (mean >= 0.5).astype(np.int64)
        self._bodies: dict[str, dict[str, dict[str, Any]]] = {
            "decode": {_SUMMARY: {"z": z.tolist()}},
            "sample": {_SUMMARY: {"n": 2, "seed": _SEED}},
            "interpolate": {
                _SUMMARY: {
                    "z": [(z[0] - sigma).tolist(), (z[0] + sigma).tolist()],
                    "n": 3,
                }
            },
        }
        if config.data_dim <= MAX_EXAMPLE_DIM:
            x = {"x": mean.round(_DIGITS).tolist()}
            for operation, options in _WITH_X.items():
                self._bodies[operation] = {_SUMMARY: {**x, **options}}
            if config.latent_dim > MAX_LATENT_DIM:
                del self._bodies["posterior"]
            if usable(engine.checkpoint.calibration) is None:
                del self._bodies["anomaly"]
            # The first half is known.
            mask = (np.arange(config.data_dim) < (config.data_dim + 1) // 2)[None]
            mask_ = {"mask": mask.astype(np.int64).tolist()}
            self._bodies["impute"][_SUMMARY].update(mask_)
            if images is not None:
                x_png = {"x_png": images.data_url(mean)}
                for operation in ("encode", "elbo"):
                    body = {**x_png, **_WITH_X[operation]}
                    self._bodies[operation]["an image"] = body
        self._parameters = {"sampleByQuery": {"n": 2, "seed": _SEED}}

    def bodies(self, operation: str) -> dict[str, dict[str, Any]]:
        """Return JSON bodies by their names; none that would be too long to read."""
        return self._bodies.get(operation, {})

    def parameter(self, operation: str, name: str) -> int | None:
        """Return the value of a query parameter, if it has an example."""
        return self._parameters.get(operation, {}).get(name)
