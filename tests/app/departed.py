"""A client that sends a request, and leaves while it waits for the response."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

from tests.app.served import Served

Message = MutableMapping[str, Any]


def ask_and_leave(served: Served, path: str, body: bytes) -> list[Message]:
    """Post JSON over ASGI, and disconnect; return what was sent to the client."""
    sent: list[Message] = []
    messages: Iterator[Message] = iter(
        [
            {"type": "http.request", "body": body, "more_body": False},
            {"type": "http.disconnect"},
        ]
    )
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    async def leave() -> None:
        await asyncio.wait_for(served.app(scope, receive, send), 20)

    served.run(leave())
    return sent
