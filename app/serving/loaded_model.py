"""
What lives as long as one checkpoint is served: the model, and what answers with it.

A request reads `Current.loaded` once, so no request is answered by two checkpoints: to
replace the model is to assign one attribute. The old one is closed when the last
request that it answers has ended.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from app.call_parts.call import Endpoint
from app.call_parts.served_model import ServedModel
from app.errors import Headers
from app.http.response_budget import Responses


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
        endpoints: What answers a request, by its method and path.
        headers: What every response carries.
        responses: Those that no client has taken yet, of this model and others.
        use: The requests that it computes; it is not needed to send what is computed.
    """

    model: ServedModel
    endpoints: Mapping[tuple[str, str], Endpoint]
    headers: Headers
    responses: Responses
    use: Use = field(default_factory=Use)

    @property
    def sha256(self) -> str:
        """The hash of the checkpoint's manifest."""
        return self.model.checkpoint.sha256

    @property
    def version(self) -> str:
        """The checkpoint's short name."""
        return self.model.checkpoint.version

    @property
    def labels(self) -> dict[str, str]:
        """What the metrics say of it."""
        engine = self.model.engine
        return {
            "version": self.version,
            "backend": engine.backend,
            "device": engine.device,
            "likelihood": self.model.config.likelihood.kind,
        }

    def close(self) -> None:
        """Finish what is running and stop the threads."""
        self.model.analysis_thread.close()
        self.model.compute.close()


@final
class Current:
    """The model that answers requests that begin now."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
