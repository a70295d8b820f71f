"""A service in this process, asked over ASGI, with its lifespan run."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import httpx

from app.main import create_app
from app.settings import Settings
from model import checkpoint
from model.checkpoint import Checkpoint
from tests.app.asgi import answer

JSON = {"content-type": "application/json"}


@final
class Served:
    """A running service and a client for it; its calls block."""

    def __init__(self, path: Path, *, tracer: Any = None, **settings: Any) -> None:
        self.root_path = ""  # the prefix that a proxy puts before paths
        self.settings = Settings(checkpoint=path, threads=1, **settings)
        self.app = create_app(self.settings, tracer)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """What it serves, loaded once more for a test that computes with it."""
        return checkpoint.load(self.settings.checkpoint_directory)

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self._lifespan: AbstractAsyncContextManager[Any] = (
            self.app.framework.router.lifespan_context(self.app.framework)
        )
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.run(self._lifespan.__aexit__(kind, error, traceback))
        self._runner.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have a client although the lifespan does not run."""
        with asyncio.Runner() as self._runner:
            yield

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the loop of the service."""
        self._runner.run(work)

    def request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        """Ask once."""
        return self.together([(method, url, arguments)])[0]

    def get(self, url: str, **arguments: Any) -> httpx.Response:
        """Ask with GET."""
        return self.request("GET", url, **arguments)

    def post(self, url: str, document: object, **arguments: Any) -> httpx.Response:
        """Ask with POST and a JSON document."""
        return self.request("POST", url, json=document, **arguments)

    def post_raw(
        self, url: str, body: bytes, headers: Mapping[str, str] = JSON
    ) -> httpx.Response:
        """Ask with POST and a body as it is."""
        return self.request("POST", url, content=body, headers=headers)

    def together(
        self, requests: Iterable[tuple[str, str, Mapping[str, Any]]]
    ) -> list[httpx.Response]:
        """Ask all at once."""
        made = [self._client.build_request(m, url, **its) for m, url, its in requests]

        async def ask() -> list[httpx.Response]:
            return await asyncio.gather(
                *(answer(self.app, one, root_path=self.root_path) for one in made)
            )

        return self._runner.run(ask())

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """What makes requests as httpx does; it sends none."""
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://test")


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check the one shape of every failure, and return the document."""
    problem: dict[str, Any] = response.json()

    assert response.status_code == status, problem
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == problem["request_id"]
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"] == "about:blank"
    assert len(response.content) < 1000
    return problem
