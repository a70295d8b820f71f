"""BentoML with adaptive batching over the rows of all requests that wait."""

import os
from pathlib import Path
from typing import Any

import bentoml  # type: ignore[import-not-found]  # of the peer's own environment
import numpy as np
import torch

from benchmarks.peers.network import encoder


@bentoml.service(
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Encoder:
    """{"x": rows} to rows of mu and log_var side by side."""

    def __init__(self) -> None:
        self.network = encoder(Path(os.environ["WEIGHTS"]))

    @bentoml.api(batchable=True, max_batch_size=256, max_latency_ms=1000)  # type: ignore[untyped-decorator]  # untyped here
    def encode(self, x: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray:
        """Encode all rows at once."""
        with torch.inference_mode():
            heads = self.network(torch.from_numpy(np.asarray(x, np.float32)))
        return torch.cat(heads, dim=1).numpy()
