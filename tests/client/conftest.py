"""A service of few rows that listens on a port, a faulty proxy, and both clients."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.app.live import serving
from tests.app.served import Served
from tests.client.faulty import FaultyProxy
from vae_client import AsyncClient, Client, retries

MAX_ROWS = 700
NONE: Mapping[str, Any] = {}


class Ask(Protocol):
    """One call of a client that is made for it and closed after."""

    def __call__(
        self,
        url: str,
        verb: str,
        *arguments: Any,
        settings: Mapping[str, Any] = ...,
        **options: Any,
    ) -> Any:
        """Make the call with these arguments and options."""


@pytest.fixture(scope="session")
def address(checkpoints: Path) -> Iterator[str]:
    """Serve a Bernoulli MLP with data_shape (4, 4), 700 rows at a time."""
    with serving(checkpoints / "bernoulli", max_rows=MAX_ROWS) as address:
        yield address


@pytest.fixture(scope="session")
def whole(checkpoints: Path) -> Iterator[Served]:
    """Serve the same model in this process, 16,384 rows at a time."""
    with Served(checkpoints / "bernoulli") as served:
        yield served


@pytest.fixture
def proxy(address: str) -> Iterator[FaultyProxy]:
    """Stand between a client and the service."""
    with FaultyProxy(address) as proxy:
        yield proxy


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a twentieth of the usual time before a retry."""
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture(params=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Call the blocking client and the asynchronous one."""

    def blocking(
        url: str,
        verb: str,
        *arguments: Any,
        settings: Mapping[str, Any] = NONE,
        **options: Any,
    ) -> Any:
        with Client(url, **settings) as client:
            return getattr(client, verb)(*arguments, **options)

    def asynchronous(
        url: str,
        verb: str,
        *arguments: Any,
        settings: Mapping[str, Any] = NONE,
        **options: Any,
    ) -> Any:
        async def awaited() -> Any:
            async with AsyncClient(url, **settings) as client:
                return await getattr(client, verb)(*arguments, **options)

        return asyncio.run(awaited())

    return blocking if request.param == "Client" else asynchronous


@pytest.fixture(scope="session")
def gray() -> NDArray[np.float32]:
    """Return 10,000 different rows in [0, 1)."""
    return np.random.default_rng(3).random((10_000, 4, 4), dtype=np.float32)
