"""LitServe with dynamic batching over the rows of all requests that wait."""

import os
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found]  # of the peer's own environment
import numpy as np
import torch
from fastapi import Request

from benchmarks.peers.network import encoder


class Encode(litserve.LitAPI):  # type: ignore[misc]  # untyped here
    """{"x": rows} to {"mu": rows, "log_var": rows}."""

    def setup(self, device: str) -> None:
        """Load the network in the worker."""
        self.network = encoder(Path(os.environ["WEIGHTS"]))

    def decode_request(self, request: Request) -> np.ndarray:
        """
        Return the rows of one request, whose JSON has been read.

        The annotation says how to read it; what comes is the document.
        """
        return np.asarray(request["x"], np.float32)

    def batch(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Keep the requests apart: their rows are counted in `predict`."""
        return inputs

    def predict(self, inputs: Any) -> Any:
        """Encode all rows at once; without batching, those of the one request."""
        requests = inputs if isinstance(inputs, list) else [inputs]
        rows = torch.from_numpy(np.concatenate(requests))
        with torch.inference_mode():
            mu, log_var = self.network(rows)
        sizes = [len(request) for request in requests]
        answers = list(zip(mu.split(sizes), log_var.split(sizes), strict=True))
        return answers if isinstance(inputs, list) else answers[0]

    def unbatch(self, output: Any) -> Any:
        """Return one answer per request."""
        return output

    def encode_response(self, output: Any) -> Any:
        """Return an answer as JSON has it."""
        mu, log_var = output
        return {"mu": mu.tolist(), "log_var": log_var.tolist()}


def main() -> None:
    """Serve with the batching of MAX_BATCH_SIZE and BATCH_TIMEOUT."""
    api = Encode(
        max_batch_size=int(os.environ["MAX_BATCH_SIZE"]),
        batch_timeout=float(os.environ["BATCH_TIMEOUT"]),
        api_path="/encode",
    )
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
