"""The client for asyncio."""

from asyncio import Semaphore, TaskGroup, sleep
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar, final

import httpx
from numpy.typing import ArrayLike

from client import calls, exchange, transport
from client.asynchronous_analyses import AsyncAnalyses
from client.calls import Call
from client.exchange import Outcome, Pause, Steps
from client.messages import Request
from client.results import Binarize, Decoding, Draw, Elbo, Encoding, Model, Sample
from client.settings import Settings

T = TypeVar("T")


@final
class AsyncClient(AsyncAnalyses):
    """
    A service, by its URL; one for all tasks of a loop, as it keeps connections.

    Every call raises `VaeError`; `client.errors` draws the tree. What may succeed later
    is asked again, twice by default, after a `Retry-After` of up to half a minute: the
    same request with the same seed, so the answer is what the first would have been.
    """

    def __init__(
        self,
        url: str = Settings.url,
        *,
        api_key: str | None = None,
        timeout: float = Settings.timeout,
        n_retries: int = Settings.n_retries,
        n_concurrent: int = Settings.n_concurrent,
    ) -> None:
        """Take what `Settings` has; see there."""
        self._settings = Settings(url, api_key, timeout, n_retries, n_concurrent)
        self._http = httpx.AsyncClient(**transport.options(self._settings))
        self._model: Model | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """
        Return a client by `VAECLIENT_URL` and `VAECLIENT_API_KEY` of `os.environ`.

        Raises:
            ValueError: A VAECLIENT_ variable is unknown or unusable.
        """
        settings = Settings.from_environment(environ)
        return cls(settings.url, api_key=settings.api_key)

    async def encode(self, x: ArrayLike) -> Encoding:
        """
        Return q(z|x) for x, (N, D) or (N, *data_shape), of any N.

        More rows than the service takes at once go in several requests, in order.
        """
        return await self._result(calls.encode(x, await self._limited()))

    async def decode(self, z: ArrayLike) -> Decoding:
        """
        Return the parameters of p(x|z) for z, (N, J), of any N.

        More rows than the service takes at once go in several requests, in order.
        """
        return await self._result(calls.decode(z, await self._limited()))

    async def sample(
        self,
        n: int = 1,
        *,
        seed: int | None = None,
        temperature: float = 1.0,
        draw: Draw = "mean",
    ) -> Sample:
        """
        Return n draws: z ~ p(z) at a temperature, with E[x|z] or, to `sample`, x.

        Raises:
            LimitError: n is above the service's limit; see `client.calls`.
        """
        return await self._result(
            calls.sample(
                n, await self._limited(), seed=seed, temperature=temperature, draw=draw
            )
        )

    async def elbo(
        self,
        x: ArrayLike,
        *,
        n_samples: int = 1,
        seed: int | None = None,
        binarize: Binarize | None = None,
    ) -> Elbo:
        """
        Return the ELBO of x, (N, D) or (N, *data_shape), and its terms, in nats.

        Raises:
            LimitError: x has more rows than one request may; see `client.calls`.
        """
        return await self._result(
            calls.elbo(
                x,
                await self._limited(),
                n_samples=n_samples,
                seed=seed,
                binarize=binarize,
            )
        )

    async def model(self) -> Model:
        """Ask what is served; its limits are those that calls keep to from here on."""
        self._model = model = await self._result(calls.model())
        return model

    async def wait_ready(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109  the blocking client's
        """
        Wait until the service is ready.

        Raises:
            TimedOutError: It is not after `timeout` seconds.
        """
        await self._run(exchange.ready(timeout, at_most=self._settings.timeout))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.url!r})"

    async def _limited(self) -> Model:
        """Return the model as it was first told, with the limits to keep to."""
        return self._model or await self.model()

    async def _asked(self, build: Callable[[Model], Call[T]]) -> T:
        return await self._result(build(await self._limited()))

    async def _result(self, call: Call[T]) -> T:
        """Make a call, several requests at a time if it has several."""
        n_retries = self._settings.n_retries
        gate = Semaphore(self._settings.n_concurrent)

        async def passed(request: Request) -> T:
            async with gate:
                return await self._run(exchange.performed(request, call, n_retries))

        try:
            async with TaskGroup() as group:
                tasks = [group.create_task(passed(r)) for r in call.requests]
        except BaseExceptionGroup as failures:
            # The first to fail; the others were cancelled.
            first = failures.exceptions[0]
            raise first from first.__cause__
        return call.join([task.result() for task in tasks])

    async def _run(self, steps: Steps[T]) -> T:
        """Do what the steps say."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await sleep(step.seconds)
                    step = next(steps)
                else:
                    step = steps.send(await self._sent(step))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _sent(self, request: Request) -> Outcome:
        """Send a request once."""
        try:
            return transport.response(
                await self._http.request(**transport.arguments(request))
            )
        except httpx.RequestError as error:
            return transport.failure(error)
