"""Clients that reconnect when a server restarts, and the outcomes of their requests."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from benchmarks.workload import Request, unseen

_SILENT_SECONDS = 20.0
_PAUSE_SECONDS = 0.1  # after an error response or a refused connection


@dataclass
class Tally:
    """
    The outcomes of requests: each request that was sent is counted in one of them.

    Attributes:
        refused: How many got a status other than 200, by status.
        cut: How many lost their connection before the response was complete.
        lost: How many got no response within 20 seconds.
        wrong: How many got a wrong response. For poisoned rows (those with the check
            `unseen`) that is any status but 500, for others also a 500.
        right_at: The times of the right responses, by `time.monotonic`.
        struck: When a fault was over.
    """

    sent: int = 0
    right: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    lost: int = 0
    wrong: int = 0
    right_at: list[float] = field(default_factory=list)
    struck: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost or wrong, and every request has ended."""
        ended = self.right + self.refused.total() + self.cut + self.lost + self.wrong
        return self.lost == self.wrong == 0 and ended == self.sent

    @property
    def gap(self) -> float:
        """The longest time between two right responses, in seconds."""
        return float(np.diff(self.right_at).max()) if len(self.right_at) > 1 else 0.0


@final
class Client:
    """One keep-alive connection, which is opened again whenever it ends."""

    def __init__(self, port: int, requests: Sequence[Request], tally: Tally) -> None:
        self._port = port
        self._requests = requests
        self._tally = tally
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, stop: asyncio.Event, first: int) -> None:
        """Send one request after the other until `stop` is set."""
        number = first
        while not stop.is_set():
            if not await self._connected():
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            await self._one(self._requests[number % len(self._requests)])
            number += 1
        self._drop()

    async def _connected(self) -> bool:
        if self._streams is None:
            try:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return False
        return True

    async def _one(self, request: Request) -> None:
        assert self._streams is not None
        reader, writer = self._streams
        tally = self._tally
        tally.sent += 1
        try:
            async with asyncio.timeout(_SILENT_SECONDS):
                writer.write(request.wire())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
                body = await reader.readexactly(size)
        except TimeoutError:
            tally.lost += 1
            self._drop()
            return
        except (OSError, asyncio.IncompleteReadError):
            tally.cut += 1
            self._drop()
            return
        self._count(request, int(head[9:12]), body)
        if b"connection: close" in head:
            self._drop()
        if int(head[9:12]) != 200:
            await asyncio.sleep(_PAUSE_SECONDS)

    def _count(self, request: Request, status: int, body: bytes) -> None:
        tally, is_poisoned = self._tally, request.check is unseen
        if status != 200:
            if status == 500 and not is_poisoned:
                tally.wrong += 1
            else:
                tally.refused[status] += 1
            return
        try:
            assert not is_poisoned
            request.check(body)
        except (AssertionError, ValueError, KeyError):
            tally.wrong += 1
        else:
            tally.right += 1
            tally.right_at.append(time.monotonic())

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
