"""
Compare the ELBO of a test set, from a running service, with the model card.

    python -m benchmarks.agreement --url http://127.0.0.1:8000 --data mnist

`/elbo` gets the gray test rows in one request, with the binarization, the K and the
seed of the model card, so its mean equals the card's figure up to float32 rounding.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from safetensors.numpy import load, save

from model import data

_TOLERANCE = 1e-3  # nats
_MEDIA_TYPE = "application/vnd.safetensors"
_BINARIZE = {"static": "sample", "dynamic": "sample", "threshold": "threshold"}


def asked(client: httpx.Client, x: np.ndarray, figure: dict[str, Any]) -> float:
    """Return the mean ELBO of x with the settings of a figure of the card."""
    options = {"n_samples": figure["n_samples"], "seed": figure["noise_seed"]}
    if figure["binarization"] in _BINARIZE:
        options["binarize"] = _BINARIZE[figure["binarization"]]
    response = client.post(
        "/elbo",
        params=options,
        content=save({"x": x}),
        headers={"content-type": _MEDIA_TYPE, "accept": _MEDIA_TYPE},
    )
    response.raise_for_status()
    return float(load(response.content)["elbo"].mean(dtype=np.float64))


def main() -> int:
    """Print both figures; return 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    x = data.load(arguments.data, data_dir=arguments.data_dir).test.x
    with httpx.Client(base_url=arguments.url, timeout=600) as client:
        figure = next(
            figure
            for figure in client.get("/model").json()["figures"]
            if (figure["name"], figure["split"]) == ("elbo", "test")
        )
        mean = asked(client, x, figure)
    difference = abs(mean - figure["value"])
    sys.stdout.write(
        f"test ELBO of {len(x)} rows, K = {figure['n_samples']}: "
        f"card {figure['value']:.6f}, over HTTP {mean:.6f}, "
        f"difference {difference:.1e} nats\n"
    )
    return int(difference > _TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
