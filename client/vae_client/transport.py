"""Translation between this package and httpx, the same for both clients."""

import ssl
from functools import lru_cache
from typing import Any, TypedDict, final

from vae_client.client_settings import ClientSettings
from vae_client.errors import ConnectionFailedError, TimedOutError, VaeError
from vae_client.http_library import httpx
from vae_client.http_messages import HttpRequest, HttpResponse

_CONNECT_SECONDS = 5.0


@final
class HttpxOptions(TypedDict):
    """The arguments of httpx.Client and httpx.AsyncClient."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout
    verify: ssl.SSLContext


def httpx_options(settings: ClientSettings) -> HttpxOptions:
    """Return how httpx is set up: it keeps connections and follows no redirects."""
    key = settings.api_key
    return HttpxOptions(
        base_url=settings.url,
        headers={} if key is None else {"authorization": f"Bearer {key}"},
        timeout=_timeout(settings.timeout),
        verify=_tls_context(),
    )


def httpx_arguments(request: HttpRequest) -> dict[str, Any]:
    """Return a request as the arguments of httpx's `request`."""
    arguments: dict[str, Any] = {
        "method": request.method,
        "url": request.path,
        "params": request.parameters(),
        "headers": request.headers(),
        "content": request.body(),
    }
    if request.timeout is not None:
        arguments["timeout"] = _timeout(request.timeout)
    return arguments


def http_response(response: httpx.Response) -> HttpResponse:
    """Return a response of httpx as one of this package."""
    return HttpResponse(response.status_code, response.headers, response.content)


def connection_error(error: httpx.RequestError) -> VaeError:
    """Return an error of httpx as one of this package."""
    name, text = type(error).__name__, str(error)
    message = f"{name}: {text}" if text else name
    # A connection that was not made in time carried no request.
    is_timeout = isinstance(error, httpx.TimeoutException)
    if is_timeout and not isinstance(error, httpx.ConnectTimeout):
        return TimedOutError(message)
    return ConnectionFailedError(message)


@lru_cache(1)
def _tls_context() -> ssl.SSLContext:
    """Return httpx's default certificates, read once because that takes 60 ms."""
    return httpx.create_ssl_context()


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
