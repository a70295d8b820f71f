"""
A loaded checkpoint, with the endpoints bound to it.

A request reads `Current.loaded` once, so it never uses two checkpoints. The model is
replaced by assigning that attribute. The old model is closed after the last request
that uses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from app.call_parts.call import Endpoint
from app.call_parts.served_model import ServedModel
from app.errors import Headers
from app.http.response_budget import ResponseBudget
from app.serving.in_flight import InFlight


@final
@dataclass(frozen=True, eq=False)
class LoadedModel:
    """
    One checkpoint, ready to serve.

    Attributes:
        endpoints: The endpoint for each method and path.
        headers: Headers of every response.
        responses: The budget for responses in memory, shared by all models.
        in_flight: The requests that it computes, until they are computed, not sent.
    """

    model: ServedModel
    endpoints: Mapping[tuple[str, str], Endpoint]
    headers: Headers
    responses: ResponseBudget
    in_flight: InFlight = field(default_factory=InFlight)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the checkpoint's manifest."""
        return self.model.checkpoint.sha256

    @property
    def version(self) -> str:
        """The checkpoint's short name."""
        return self.model.checkpoint.version

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its metric."""
        engine = self.model.engine
        return {
            "version": self.version,
            "backend": engine.backend,
            "device": engine.device,
            "likelihood": self.model.config.likelihood.kind,
        }

    def close(self) -> None:
        """Finish running computations, and stop the threads."""
        self.model.analysis_threads.close()
        self.model.compute.batcher.close()


@final
class Current:
    """Holds the model for new requests."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
