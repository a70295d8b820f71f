"""The application as a replica of Ray Serve runs it."""

from typing import final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ID = "x-request-id"
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
    """

    def __init__(self, service: ASGIApp) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; pass on everything else."""
        if scope["type"] != "http":
            await self._service(scope, receive, send)
            return

        async def without_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": list(message["headers"])}
                del MutableHeaders(raw=message["headers"])[_ID]
            await send(message)

        await self._service(scope, receive, without_id)

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
