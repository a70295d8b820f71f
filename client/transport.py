"""What both clients share of httpx: how it is set up, and its words for what came."""

import ssl
from functools import lru_cache
from typing import Any, TypedDict, final

import httpx

from client.errors import ConnectionFailedError, TimedOutError, VaeError
from client.messages import Request, Response
from client.settings import Settings

_CONNECT_SECONDS = 5.0


@final
class Options(TypedDict):
    """What httpx.Client and httpx.AsyncClient take alike."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout
    verify: ssl.SSLContext


def options(settings: Settings) -> Options:
    """Return how httpx is set up: it keeps connections, and follows no redirects."""
    key = settings.api_key
    return Options(
        base_url=settings.url,
        headers={} if key is None else {"authorization": f"Bearer {key}"},
        timeout=_timeout(settings.timeout),
        verify=_tls(),
    )


def arguments(request: Request) -> dict[str, Any]:
    """Return a request as the arguments of httpx's `request`."""
    given: dict[str, Any] = {
        "method": request.method,
        "url": request.path,
        "params": request.parameters(),
        "headers": request.headers(),
        "content": request.body(),
    }
    if request.timeout is not None:
        given["timeout"] = _timeout(request.timeout)
    return given


def response(came: httpx.Response) -> Response:
    """Return what came in our words."""
    return Response(came.status_code, came.headers, came.content)


def failure(error: httpx.RequestError) -> VaeError:
    """Return what kept an answer from coming, in our words."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    # A connection that is not made in time carried no request.
    timed_out = isinstance(error, httpx.TimeoutException)
    if timed_out and not isinstance(error, httpx.ConnectTimeout):
        return _caused(TimedOutError(said), error)
    return _caused(ConnectionFailedError(said), error)


@lru_cache(1)
def _tls() -> ssl.SSLContext:
    """Return httpx's own choice of certificates, which take 60 ms to read, once."""
    return httpx.create_ssl_context()


def _caused(failure: VaeError, error: httpx.RequestError) -> VaeError:
    failure.__cause__ = error
    return failure


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
