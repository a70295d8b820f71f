"""A client that half-closes its connection is waited for, until it has gone."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, final

import pytest

from app.connection import half_closed
from app.connection.half_closed import HalfClosed

SECONDS = 20
FAMILIES = {"TCP": socket.AF_INET, "Unix": socket.AF_UNIX}


@final
class _Kept(asyncio.Protocol):
    """Stays open after the end of what it reads; notes when the connection is lost."""

    def __init__(self) -> None:
        self.has_ended, self.is_lost = asyncio.Event(), asyncio.Event()

    def eof_received(self) -> bool:
        self.has_ended.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost.set()


def pair(family: int) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection."""
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        return client, listening.accept()[0]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the client at once and often."""
    monkeypatch.setattr(half_closed, "_FIRST_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(half_closed, "_CHECK_INTERVAL_SECONDS", 0.001)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("has_gone", [False, True])
def test_only_a_client_that_has_gone_is_cut(family: int, *, has_gone: bool) -> None:
    """One that waits gets an interim response, and stays connected."""
    cycle: Any = SimpleNamespace(scope={"http_version": "1.1"}, response_started=False)

    async def run() -> None:
        loop, failures = asyncio.get_running_loop(), list[Any]()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        client, accepted = pair(family)
        transport, protocol = await loop.connect_accepted_socket(_Kept, accepted)
        client.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(protocol.has_ended.wait(), SECONDS)
        if has_gone:
            client.close()
        HalfClosed(cycle, transport, loop)
        if has_gone:
            await asyncio.wait_for(protocol.is_lost.wait(), SECONDS)
        else:
            client.setblocking(False)
            found = await asyncio.wait_for(loop.sock_recv(client, 100), SECONDS)
            await asyncio.sleep(0.01)
            assert found == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert not protocol.is_lost.is_set()
        transport.abort()
        client.close()
        assert failures == []

    asyncio.run(run())
