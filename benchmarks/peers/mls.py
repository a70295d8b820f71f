"""MLServer with adaptive batching, the model in the server's own process."""

import os
from pathlib import Path

import torch
from mlserver import MLModel  # type: ignore[import-not-found]  # peer's environment
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import (  # type: ignore[import-not-found]
    InferenceRequest,
    InferenceResponse,
)

from benchmarks.peers.network import encoder


class Encoder(MLModel):  # type: ignore[misc]  # untyped here
    """V2 protocol: input x, outputs mu and log_var."""

    async def load(self) -> bool:
        """Load the network."""
        self.network = encoder(Path(os.environ["WEIGHTS"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Encode all rows at once."""
        x = NumpyCodec.decode_input(payload.inputs[0])
        with torch.inference_mode():
            mu, log_var = self.network(torch.from_numpy(x))
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("mu", mu.numpy()),
                NumpyCodec.encode_output("log_var", log_var.numpy()),
            ],
        )
