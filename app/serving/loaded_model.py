"""
A loaded checkpoint, with the endpoints bound to it.

A request reads `Current.loaded` once, so it never uses two checkpoints. The model is
replaced by assigning that attribute. The old model is closed after the last request
that uses it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from app.call_parts.call import Endpoint
from app.call_parts.served_model import ServedModel
from app.errors import Headers
from app.http.response_budget import ResponseBudget


@final
class Use:
    """Counts the requests that use a model, and waits for the last of them."""

    def __init__(self) -> None:
        self._n = 0
        self._last: asyncio.Event | None = None

    def __enter__(self) -> None:
        """Count a request."""
        self._n += 1

    def __exit__(self, *_: object) -> None:
        """Stop counting it, after success or failure."""
        self._n -= 1
        if self._last is not None and not self._n:
            self._last.set()

    async def ended(self) -> None:
        """Wait until the last request has ended; no new one may begin."""
        self._last = asyncio.Event()
        if self._n:
            await self._last.wait()


@final
@dataclass(frozen=True, eq=False)
class LoadedModel:
    """
    One checkpoint, ready to serve.

    Attributes:
        endpoints: The endpoint for each method and path.
        headers: Headers of every response.
        responses: The budget for responses in memory, shared by all models.
        use: Counts the requests that it computes, until they are computed, not sent.
    """

    model: ServedModel
    endpoints: Mapping[tuple[str, str], Endpoint]
    headers: Headers
    responses: ResponseBudget
    use: Use = field(default_factory=Use)

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
        self.model.compute.close()


@final
class Current:
    """Holds the model for new requests."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
