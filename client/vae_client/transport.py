"""Translation between this package and httpx, the same for both clients."""

import ssl
from functools import lru_cache
from typing import Any, TypedDict, final

from vae_client.client_settings import ClientSettings
from vae_client.errors import ConnectionFailedError, TimedOutError, VaeError
from vae_client.http_library import httpx
from vae_client.http_messages import HttpRequest, HttpResponse

_CONNECT_SECONDS = 5.0
# What OpenSSL says, and what to do.
_TLS_FAILURES = {
    "CERTIFICATE_VERIFY_FAILED": "SSL_CERT_FILE can name the file of an authority",
    "WRONG_VERSION_NUMBER": "does this port speak http, not https?",
}


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
    # Arrays hardly shrink, and compressing them would take longer than sending them.
    headers = {"accept-encoding": "identity"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return HttpxOptions(
        base_url=settings.url,
        headers=headers,
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
    url = str(response.url.copy_with(query=None))
    return HttpResponse(response.status_code, response.headers, response.content, url)


def connection_error(
    error: httpx.RequestError, request: HttpRequest, settings: ClientSettings
) -> VaeError:
    """Return an error of httpx as one of this package: where, why, what to do."""
    name, text = type(error).__name__, str(error)
    why = f"{name}: {text}" if text else name
    # A connection that was not made in time carried no request.
    is_connecting = isinstance(error, httpx.ConnectTimeout | httpx.ConnectError)
    if isinstance(error, httpx.TimeoutException) and not is_connecting:
        seconds = request.timeout or settings.timeout
        return TimedOutError(
            f"no response from {settings.url} to {request.path} within {seconds:g} s "
            f"({why}); pass a longer timeout, or fewer rows"
        )
    if is_connecting:
        return ConnectionFailedError(
            f"cannot connect to {settings.url} ({why}); {_next_step(why)}"
        )
    return ConnectionFailedError(
        f"{settings.url} ended the connection during {request.path} ({why}); is the "
        "service still running there?"
    )


def _next_step(why: str) -> str:
    """Return what to do about a connection that was not made."""
    for known, step in _TLS_FAILURES.items():
        if known in why:
            return step
    return "is the service running there?"


@lru_cache(1)
def _tls_context() -> ssl.SSLContext:
    """Return httpx's default certificates, read once because that takes 60 ms."""
    return httpx.create_ssl_context()


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
