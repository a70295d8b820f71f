"""
What lives as long as one checkpoint: all that answers with it.

The pipeline has one loaded model at a time and reads it once per request, so no request
is answered by two checkpoints: to replace it is to assign one attribute. The old one is
closed when the last request that it answers has ended.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

from starlette.types import Scope

from app.card import Card
from app.compute.analysis_thread import Analyses
from app.compute.operations import Operations
from app.endpoints import Endpoint
from app.errors import Headers
from app.http.response_budget import Responses
from app.serving.documents import Document

Hot = Mapping[tuple[str, str], Endpoint]

_IN_SCOPE = "loaded_model"


@final
class Use:
    """How many requests something answers, and when the last of them has ended."""

    def __init__(self) -> None:
        self._n = 0
        self._last: asyncio.Event | None = None

    def __enter__(self) -> None:
        """Note that a request begins."""
        self._n += 1

    def __exit__(self, *_: object) -> None:
        """Note that it has ended, well or not."""
        self._n -= 1
        if self._last is not None and not self._n:
            self._last.set()

    async def ended(self) -> None:
        """Wait for the last request; none may begin any more."""
        self._last = asyncio.Event()
        if self._n:
            await self._last.wait()


@final
@dataclass(frozen=True, eq=False)
class LoadedModel:
    """
    One checkpoint, ready to answer.

    Attributes:
        headers: What every answer carries.
        hot: The endpoint of each operation's method and path.
        model: The card as `/model` has it.
        examples: What `/examples` has.
        openapi: The API's document.
        responses: Those that no client has taken yet, of this model and others.
        use: The requests that it computes; it is not needed to send what is computed.
    """

    card: Card
    headers: Headers
    hot: Hot
    model: Document
    examples: Document
    openapi: Mapping[str, Any]
    compute: Operations
    runner: Analyses
    responses: Responses
    use: Use = field(default_factory=Use)

    @property
    def labels(self) -> dict[str, str]:
        """What the metrics say of it."""
        return {
            "version": self.card.version,
            "backend": self.card.compute.backend,
            "device": self.card.compute.device,
            "likelihood": self.card.likelihood.kind,
        }

    def close(self) -> None:
        """Finish what is running and stop the threads."""
        self.runner.close()
        self.compute.close()


@contextmanager
def in_scope(scope: Scope, loaded: LoadedModel) -> Iterator[None]:
    """Let the framework's routes find the model that answers a request."""
    scope[_IN_SCOPE] = loaded
    try:
        yield
    finally:
        del scope[_IN_SCOPE]  # the server keeps a scope as long as its connection rests


def loaded_model_of(scope: Scope) -> LoadedModel:
    """Return the loaded that a request is answered with."""
    found: LoadedModel = scope[_IN_SCOPE]
    return found
