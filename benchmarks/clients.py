"""Keep-alive connections that outlive the server, and what became of their requests."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from benchmarks.workload import Request, unseen

_SILENT_SECONDS = 20.0
_PAUSE_SECONDS = 0.1  # of a client that was told an error, or finds nobody listening


@dataclass
class Tally:
    """
    What became of requests: each that was sent is one of the others in the end.

    Attributes:
        told: How many were told a status other than 200.
        cut: How many saw their connection end before the answer was whole.
        lost: How many waited 20 seconds for what did not come.
        wrong: How many were answered what is not right; of poisoned rows (those whose
            answer is `unseen`) any answer but 500 is, and of others a 500.
        right_at: When the right answers came, by `time.monotonic`.
        struck: When a fault was over.
    """

    sent: int = 0
    right: int = 0
    told: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    lost: int = 0
    wrong: int = 0
    right_at: list[float] = field(default_factory=list)
    struck: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost or wrong, and every request has ended."""
        ended = self.right + self.told.total() + self.cut + self.lost + self.wrong
        return self.lost == self.wrong == 0 and ended == self.sent

    @property
    def gap(self) -> float:
        """The longest time between two right answers, in seconds."""
        return float(np.diff(self.right_at).max()) if len(self.right_at) > 1 else 0.0


@final
class Client:
    """One keep-alive connection, opened again whenever it ends."""

    def __init__(self, port: int, requests: Sequence[Request], tally: Tally) -> None:
        self._port = port
        self._requests = requests
        self._tally = tally
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, stop: asyncio.Event, first: int) -> None:
        """Ask for one request after the other until told to stop."""
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
                tally.told[status] += 1
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
