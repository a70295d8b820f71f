"""The service as a replica of Ray Serve: one request id, and a check of its health."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from deploy.ray.proxy import ProxyFailures, middlewares
from deploy.ray.replica import ReplicaApplication
from tests.app.served import Served

ROOT = Path(__file__).parent.parent


def test_the_request_id_is_left_to_the_proxy(checkpoints: Path) -> None:
    """The service uses the one that it is given, and does not repeat it."""
    with Served(checkpoints / "bernoulli") as served:
        replica = ReplicaApplication(served.app, body_timeout=60)
        found: list[httpx.Response] = []

        async def ask() -> None:
            transport = httpx.ASGITransport(replica)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test"
            ) as client:
                for path in ("/encode", "/nowhere"):
                    headers = {"x-request-id": "mine"}
                    found.append(await client.post(path, content=b"{", headers=headers))

        served.run(ask())

    assert [response.status_code for response in found] == [415, 404]
    assert [response.json()["request_id"] for response in found] == ["mine", "mine"]
    assert not any("x-request-id" in response.headers for response in found)
    assert all("x-model-version" in response.headers for response in found)


def test_what_is_no_request_is_passed_on() -> None:
    """The lifespan, in which the service starts and stops."""
    seen: list[Any] = []

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(_: Message) -> None:
        return

    scope = {"type": "lifespan"}

    asyncio.run(ReplicaApplication(service, body_timeout=60)(scope, receive, send))

    assert seen == [(scope, receive, send)]


def test_a_replica_is_healthy_while_the_service_is_alive(checkpoints: Path) -> None:
    """And not where it says that it is not."""

    async def stalled(scope: Scope, receive: Receive, send: Send) -> None:
        assert (scope["method"], scope["path"]) == ("GET", "/livez")
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with Served(checkpoints / "bernoulli") as served:
        served.run(ReplicaApplication(served.app, body_timeout=60).check_live())

    with pytest.raises(RuntimeError, match="expected 200 of /livez, got \\[503\\]"):
        asyncio.run(ReplicaApplication(stalled, body_timeout=60).check_live())


SCOPE = {"type": "http", "method": "POST", "path": "/v2/x", "headers": []}


def test_a_body_that_never_comes_is_answered() -> None:
    """Ray loses it where it gives the request of a dead replica to another one."""
    sent: list[Message] = []

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.disconnect"}

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(ReplicaApplication(service, body_timeout=0)(SCOPE, receive, send))

    start, body = sent
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert body["body"].startswith(b'{"error":')


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_wait_for_a_disconnect_has_no_limit(method: str) -> None:
    """Once the whole body is there."""
    parts = [] if method == "GET" else [b"a", b"b"]
    seen: list[bytes] = []

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        while len(seen) < len(parts):
            seen.append((await receive())["body"])
        waiting = asyncio.ensure_future(receive())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()

    async def receive() -> Message:
        if len(seen) == len(parts):
            await asyncio.Event().wait()
        more = len(seen) + 1 < len(parts)
        return {"type": "http.request", "body": parts[len(seen)], "more_body": more}

    async def send(_: Message) -> None:
        raise AssertionError

    replica = ReplicaApplication(service, body_timeout=0)
    asyncio.run(replica({**SCOPE, "method": method}, receive, send))

    assert seen == parts


def through_proxy(
    ray: ASGIApp, method: str, url: str, **arguments: Any
) -> httpx.Response:
    """Ask Ray's proxy, an application, with our middleware around it."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(ProxyFailures(ray))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test"
        ) as client:
            return await client.request(method, url, **arguments)

    return asyncio.run(ask())


async def silent_ray(scope: Scope, receive: Receive, send: Send) -> None:
    """Send no response."""


@pytest.mark.parametrize(
    ("status", "headers", "seen"),
    [
        (500, [], 503),
        (503, [(b"retry-after", b"9")], 503),
        (500, [(b"x-model-version", b"1")], 500),
        (404, [], 404),
        (200, [], 200),
    ],
)
def test_what_ray_answers_for_a_dead_replica_is_a_problem(
    status: int, headers: list[tuple[bytes, bytes]], seen: int
) -> None:
    """With 503, so that clients try again; what the service answers stays."""

    async def ray(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"The actor died"})

    response = through_proxy(ray, "GET", "/model", headers={"x-request-id": "mine"})

    assert response.status_code == seen
    if seen == 503:
        assert response.headers["retry-after"] == "1"
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["request_id"] == "mine"
        assert "actor" not in response.text
    else:
        assert response.text == "The actor died"


def test_a_request_that_ray_does_not_answer_is_a_problem_too() -> None:
    """As those that a dead replica had begun."""
    response = through_proxy(silent_ray, "GET", "/model")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


def test_below_v2_it_is_an_error_of_that_protocol() -> None:
    """The one that the service itself writes there."""
    url = "/v2/models/vae-encode/infer"
    response = through_proxy(silent_ray, "POST", url, content=b"{}")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    assert response.json()["error"].startswith("the replica with this request has")


def test_the_middleware_is_one_that_ray_accepts() -> None:
    """A list of Starlette's middlewares."""
    [found] = middlewares()

    assert isinstance(found, Middleware)
    assert repr(found) == "Middleware(ProxyFailures)"


def test_the_settings_without_effect_in_ray_exist() -> None:
    """The page names those of sockets and processes."""
    page = (ROOT / "docs" / "ray.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("have no effect")
    named = {
        word.strip("`,.") for word in rest.split("\n\n")[0].split() if "VAE_" in word
    }

    assert len(named) > 8
    assert named <= {f"VAE_{name.upper()}" for name in Settings.model_fields}
