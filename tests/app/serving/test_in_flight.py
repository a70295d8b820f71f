"""Clients that go away while they wait cost no further compute."""

import asyncio
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from tests.app.long_request import LONG_BODY
from tests.app.served import Served

Message = MutableMapping[str, Any]

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/elbo",
    "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
}


def test_a_departed_client_ends_its_computation(checkpoints: Path) -> None:
    """The request of a client that leaves is cancelled, and its rows are dropped."""
    sent: list[Message] = []

    async def leave(served: Served) -> None:
        messages: Iterator[Message] = iter(
            [
                {"type": "http.request", "body": LONG_BODY, "more_body": False},
                {"type": "http.disconnect"},
            ]
        )

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            sent.append(message)

        await asyncio.wait_for(served.app(dict(SCOPE), receive, send), 20)

    with Served(checkpoints / "bernoulli", max_work=1 << 40) as served:
        served.run(leave(served))
        after = served.get("/metrics").text
        answer = served.post("/elbo", {"x": [[0] * 16]})

    assert sent == []
    assert 'vae_requests_total{route="/elbo",status="499"} 1.0' in after
    assert answer.status_code == 200
