"""The client that blocks."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from types import TracebackType
from typing import Self, TypeVar, final

import httpx
from numpy.typing import ArrayLike

from client import calls, exchange, transport
from client.blocking_analyses import Analyses
from client.calls import Call
from client.exchange import Outcome, Pause, Steps
from client.messages import Request
from client.results import Binarize, Decoding, Draw, Elbo, Encoding, Model, Sample
from client.settings import Settings

T = TypeVar("T")


@final
class Client(Analyses):
    """
    A service, by its URL; one for all threads, as it keeps connections.

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
        self._http = httpx.Client(**transport.options(self._settings))
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

    def encode(self, x: ArrayLike) -> Encoding:
        """
        Return q(z|x) for x, (N, D) or (N, *data_shape), of any N.

        More rows than the service takes at once go in several requests, in order.
        """
        return self._result(calls.encode(x, self._limited()))

    def decode(self, z: ArrayLike) -> Decoding:
        """
        Return the parameters of p(x|z) for z, (N, J), of any N.

        More rows than the service takes at once go in several requests, in order.
        """
        return self._result(calls.decode(z, self._limited()))

    def sample(
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
        return self._result(
            calls.sample(
                n, self._limited(), seed=seed, temperature=temperature, draw=draw
            )
        )

    def elbo(
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
        return self._result(
            calls.elbo(
                x, self._limited(), n_samples=n_samples, seed=seed, binarize=binarize
            )
        )

    def model(self) -> Model:
        """Ask what is served; its limits are those that calls keep to from here on."""
        self._model = model = self._result(calls.model())
        return model

    def wait_ready(self, timeout: float = 60.0) -> None:
        """
        Wait until the service is ready.

        Raises:
            TimedOutError: It is not after `timeout` seconds.
        """
        self._run(exchange.ready(timeout, at_most=self._settings.timeout))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.url!r})"

    def _limited(self) -> Model:
        """Return the model as it was first told, with the limits to keep to."""
        return self._model or self.model()

    def _asked(self, build: Callable[[Model], Call[T]]) -> T:
        return self._result(build(self._limited()))

    def _result(self, call: Call[T]) -> T:
        """Make a call, several requests at a time if it has several."""
        n_retries = self._settings.n_retries
        steps = [exchange.performed(r, call, n_retries) for r in call.requests]
        if len(steps) == 1:
            return call.join([self._run(steps[0])])
        with ThreadPoolExecutor(self._settings.n_concurrent) as pool:
            return call.join(list(pool.map(self._run, steps)))

    def _run(self, steps: Steps[T]) -> T:
        """Do what the steps say."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    sleep(step.seconds)
                    step = next(steps)
                else:
                    step = steps.send(self._sent(step))
        except StopIteration as end:
            result: T = end.value
            return result

    def _sent(self, request: Request) -> Outcome:
        """Send a request once."""
        try:
            return transport.response(
                self._http.request(**transport.arguments(request))
            )
        except httpx.RequestError as error:
            return transport.failure(error)
