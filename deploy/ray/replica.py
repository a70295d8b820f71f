"""The application as a replica of Ray Serve runs it."""

import asyncio
from typing import final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.ray.proxy import send_unavailable

_ID = "x-request-id"
_WITHOUT_BODY = ("GET", "HEAD")
_LIVEZ: Scope = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/livez",
    "raw_path": b"/livez",
    "root_path": "",
    "query_string": b"",
    "headers": [],
    "client": None,
    "server": None,
}


@final
class ReplicaApplication:
    """
    The service behind Ray's proxy.

    The proxy gives every request an `X-Request-ID`, which the service uses, and adds it
    to the response. So the service's own header, which is the same, is left out.

    If a replica dies, Ray sends requests that it had just begun to another one, without
    the parts of the body that the first one had taken. They never come, so the wait for
    each part is limited, and the response says that the request may be repeated.
    """

    def __init__(self, service: ASGIApp, *, body_timeout: float) -> None:
        self._service = service
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; pass on everything else."""
        if scope["type"] != "http":
            await self._service(scope, receive, send)
            return

        is_more_expected = scope["method"] not in _WITHOUT_BODY
        is_lost = has_started = False

        async def received() -> Message:
            nonlocal is_more_expected, is_lost
            if not is_more_expected:
                return await receive()
            try:
                async with asyncio.timeout(self._body_timeout):
                    message = await receive()
            except TimeoutError:
                is_lost = True
                return {"type": "http.disconnect"}
            is_more_expected = message.get("more_body", False)
            return message

        async def without_id(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message = {**message, "headers": list(message["headers"])}
                del MutableHeaders(raw=message["headers"])[_ID]
            await send(message)

        await self._service(scope, received, without_id)
        if is_lost and not has_started:
            await send_unavailable(scope, send)

    async def check_live(self) -> None:
        """
        Ask for `/livez`.

        Raises:
            RuntimeError: The service is not alive.
        """
        statuses: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self._service({**_LIVEZ, "headers": []}, receive, send)
        if statuses != [200]:
            raise RuntimeError(f"expected 200 of /livez, got {statuses}")
