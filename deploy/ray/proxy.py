"""
Middleware of Ray Serve's proxies: what Ray itself answers becomes our errors.

    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deploy.ray.proxy:middlewares

where Ray is started. If a replica dies, Ray does not answer the requests that it had
begun, and the server sends a bare 500. A response depends on the request and its seed
alone, so the request may be repeated, and 503 with `Retry-After` says so.
"""

from typing import final

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import UnavailableError

_OURS = "x-model-version"  # in every response of the service
_FIRST_OF_RAY = 500
_RETRY_AFTER_SECONDS = 1


def middlewares() -> list[Middleware]:
    """Return what Ray wraps its proxies in."""
    return [Middleware(ProxyFailures)]


@final
class ProxyFailures:
    """Replaces responses from 500 that are not of the service, and missing ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; pass on everything else."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = is_replaced = False

        async def replaced(message: Message) -> None:
            nonlocal has_started, is_replaced
            if message["type"] == "http.response.start":
                has_started, is_replaced = True, _is_of_ray(message)
                if is_replaced:
                    await send_unavailable(scope, send)
            if not is_replaced:
                await send(message)

        await self._app(scope, receive, replaced)
        if not has_started:
            await send_unavailable(scope, send)


def _is_of_ray(message: Message) -> bool:
    """Return whether a response is a failure of Ray's, and not of the service."""
    headers = Headers(raw=list(message["headers"]))
    return message["status"] >= _FIRST_OF_RAY and _OURS not in headers


async def send_unavailable(scope: Scope, send: Send) -> None:
    """Answer that a request has not been computed, and may be repeated."""
    problem = UnavailableError(
        "the replica with this request has ended, or none is free; try again",
        retry_after_seconds=_RETRY_AFTER_SECONDS,
    )
    request_id = Headers(raw=scope["headers"]).get("x-request-id", "")
    path = scope["path"]
    media_type, body = problem.body(path, instance=path, request_id=request_id)
    headers = [
        *problem.headers,
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
    ]
    start = {"type": "http.response.start", "status": problem.status}
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})
