"""Requests to an application in this process, as httpx.ASGITransport, but faster."""

import asyncio
from typing import final

import httpx
from starlette.types import ASGIApp, Message, Scope


async def answer(
    app: ASGIApp, request: httpx.Request, *, root_path: str
) -> httpx.Response:
    """Return what an application answers; its exceptions are raised."""
    exchange = _Exchange(request)
    await app(_scope(request, root_path), exchange.receive, exchange.send)
    return exchange.response()


def _scope(request: httpx.Request, root_path: str) -> Scope:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 123),
        "root_path": root_path,
    }


@final
class _Exchange:
    """What is received and sent for one request."""

    def __init__(self, request: httpx.Request) -> None:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._request = request
        self._chunks = aiter(request.stream)
        self._is_received = False
        self._messages: list[Message] = []
        self._is_over = asyncio.Event()

    async def receive(self) -> Message:
        """Return the next part of the body; after it, wait for the response."""
        if self._is_received:
            await self._is_over.wait()
            return {"type": "http.disconnect"}
        body = await anext(self._chunks, b"")
        self._is_received = body == b""
        return {
            "type": "http.request",
            "body": body,
            "more_body": not self._is_received,
        }

    async def send(self, message: Message) -> None:
        """Take a part of the response."""
        assert not self._is_over.is_set()
        kind = "http.response.body" if self._messages else "http.response.start"
        assert message["type"] == kind
        self._messages.append(message)
        if self._messages[1:] and not message.get("more_body", False):
            self._is_over.set()

    def response(self) -> httpx.Response:
        """Return the response, decoded."""
        assert self._is_over.is_set()
        start, *parts = self._messages
        has_body = self._request.method != "HEAD"
        return httpx.Response(
            start["status"],
            headers=start.get("headers", []),
            content=b"".join(m.get("body", b"") for m in parts) if has_body else b"",
            request=self._request,
        )
