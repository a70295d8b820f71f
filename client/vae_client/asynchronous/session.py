"""The asynchronous client's connections: sending, retries and many requests at once."""

import os
from collections.abc import Mapping
from functools import partial
from secrets import SystemRandom
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

from numpy.typing import ArrayLike

from vae_client import arguments, cells, frames, plans
from vae_client.client_settings import ClientSettings
from vae_client.concurrency import run_in_tasks, sleep_in_task
from vae_client.errors import (
    ModelChangedError,
    RequestError,
    TimedOutError,
    UnexpectedAnswerError,
    VaeError,
)
from vae_client.http_library import httpx
from vae_client.http_messages import HttpRequest, HttpResponse
from vae_client.plans import CallPlan
from vae_client.problems import check_status
from vae_client.progress import OnProgress, RowCounter
from vae_client.results import ModelResult, UnknownChoice
from vae_client.retries import seconds_before_retry
from vae_client.same_model import PreparedRows, SameModel
from vae_client.transport import (
    connection_error,
    http_response,
    httpx_arguments,
    httpx_options,
)

R = TypeVar("R")

_TOO_LARGE = 413
_POLL_SECONDS = 0.1
_uniform = SystemRandom().random


class AsyncSession:
    """The connections to one service, and the model it serves; abstract."""

    def __init__(
        self,
        url: str = ClientSettings.url,
        *,
        api_key: str | None = None,
        timeout: float = ClientSettings.timeout,
        n_retries: int = ClientSettings.n_retries,
        n_concurrent: int = ClientSettings.n_concurrent,
        on_progress: OnProgress | None = None,
    ) -> None:
        """
        Take the values of `ClientSettings`, described there.

        Args:
            on_progress: Called after each request of a call with the number of its rows
                that are done and of all its rows.
        """
        self._on_progress = on_progress
        self._settings = ClientSettings(url, api_key, timeout, n_retries, n_concurrent)
        self._http = httpx.AsyncClient(**httpx_options(self._settings))
        self._process = os.getpid()
        self._known_model: ModelResult | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """
        Return a client with `VAECLIENT_URL` and `VAECLIENT_API_KEY` of `os.environ`.

        Raises:
            ValueError: A VAECLIENT_ variable is unknown or not valid.
        """
        settings = ClientSettings.from_environment(environ)
        return cls(settings.url, api_key=settings.api_key)

    async def model(self) -> ModelResult:
        """Return what the service serves; later calls keep to the limits in it."""
        self._known_model = model = await self._call(plans.served_model())
        return model

    async def wait_ready(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109  the same argument in both clients
        """
        Wait until the service is ready.

        Raises:
            TimedOutError: It is not ready after `timeout` seconds; the cause says why.
            RequestError, UnexpectedAnswerError: Waiting will not help.
        """
        end = monotonic() + timeout
        while True:
            left = max(end - monotonic(), _POLL_SECONDS)
            request = plans.READY._replace(timeout=min(left, self._settings.timeout))
            try:
                await self._send(request)
            except (RequestError, UnexpectedAnswerError):
                raise
            except VaeError as failure:
                left = end - monotonic()
                if left <= 0:
                    url = self._settings.url
                    message = f"{url} was not ready within {timeout:g} s: {failure}"
                    raise TimedOutError(message) from failure
            else:
                return
            await sleep_in_task(min(_POLL_SECONDS, left))

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

    async def _model(self) -> ModelResult:
        """Return the last result of `model`, whose limits the calls keep to."""
        return self._known_model or await self.model()

    async def _x(
        self, x: ArrayLike, unknown: UnknownChoice | None = None
    ) -> PreparedRows:
        """
        Return x as an array; the columns of a data frame in the model's order.

        The order is asked for each time: another model may be served meanwhile.
        """
        if not frames.is_frame(x):
            return PreparedRows("x", arguments.array("x", x))
        model = await self.model()
        is_unseen = unknown == "unseen"
        unseen = cells.with_unseen(model.document.get("table")) if is_unseen else ()
        values = frames.array(
            "x", x, model.columns, model.categories, model.left_out, unseen
        )
        return PreparedRows("x", values, model.version)

    async def _mask(self, mask: ArrayLike) -> PreparedRows:
        """Return a mask as an array; the columns of a data frame as in `_x`."""
        if not frames.is_frame(mask):
            return PreparedRows("mask", arguments.mask_array(mask))
        model = await self.model()
        values = frames.mask(mask, model.columns, model.categories, model.left_out)
        return PreparedRows("mask", arguments.mask_array(values), model.version)

    async def _x_or_z(
        self,
        x: ArrayLike | None,
        z: ArrayLike | None,
        unknown: UnknownChoice | None,
    ) -> PreparedRows:
        """
        Return the one array that was passed.

        Raises:
            TypeError: Both were passed, or neither.
        """
        if x is not None and z is None:
            return await self._x(x, unknown)
        if z is not None and x is None:
            return PreparedRows("z", arguments.array("z", z))
        got = "neither" if x is None else "both"
        raise TypeError(f"expected exactly one of x and z, got {got}")

    async def _call(self, plan: CallPlan[R], version: str | None = None) -> R:
        """
        Send the requests of a call and join their results.

        Args:
            version: The model that the requests were prepared for; by default, any.

        Raises:
            ModelChangedError: Another model responded to one of them.
        """
        n_rows = sum(request.n_rows for request in plan.requests)
        progress, same = RowCounter(self._on_progress, n_rows), SameModel(version)
        ask = partial(self._ask, plan, progress, same)
        n_concurrent = self._settings.n_concurrent
        try:
            return plan.join(await run_in_tasks(ask, plan.requests, n_concurrent))
        except ModelChangedError:
            self._known_model = None
            raise

    async def _ask(
        self,
        plan: CallPlan[R],
        progress: RowCounter,
        same: SameModel,
        request: HttpRequest,
    ) -> R:
        """Return the result of a request, in halves if it is too much work (413)."""
        try:
            result = await self._ask_with_retries(plan, same, request)
        except RequestError as error:
            halves = plan.halves(request) if error.status == _TOO_LARGE else ()
            if not halves:
                raise
        else:
            progress.add(request.n_rows)
            return result
        results = [await self._ask(plan, progress, same, half) for half in halves]
        return plan.join(results)

    async def _ask_with_retries(
        self, plan: CallPlan[R], same: SameModel, request: HttpRequest
    ) -> R:
        """
        Return the result of a request, repeated after temporary failures.

        It is repeated with the same seed, so a retry returns the same result.
        """
        n_failed = 0
        while True:
            try:
                response = await self._send(request)
                same.check(response)
                return plan.read(request, response)
            except VaeError as failure:
                seconds = seconds_before_retry(failure, n_failed, u=_uniform())
                if seconds is None or n_failed == self._settings.n_retries:
                    raise
            n_failed += 1
            await sleep_in_task(seconds)

    def _connections(self) -> httpx.AsyncClient:
        """
        Return the connections of this process.

        A process that was forked has those of its parent too. If both used them, each
        could read the response to the other.
        """
        if self._process != os.getpid():
            self._http = httpx.AsyncClient(**httpx_options(self._settings))
            self._process = os.getpid()
        return self._http

    async def _send(self, request: HttpRequest) -> HttpResponse:
        """Send a request once, and return the response if it is a success."""
        try:
            response = http_response(
                await self._connections().request(**httpx_arguments(request))
            )
        except httpx.RequestError as error:
            raise connection_error(error, request, self._settings) from error
        check_status(request, response)
        return response
