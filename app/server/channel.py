"""
What the parent and a worker say to each other, over a pair of sockets.

The parent sends the settings first, then numbers of signals, each a byte. The worker
sends lines of JSON: that it has started, that it cannot, and, every second, that its
event loop turns. Where either side has ended, the other reads the end.
"""

import json
import socket
from typing import Any, Literal, NamedTuple, final

from app.settings import Settings

Kind = Literal["started", "failed", "beat"]
_BYTES = 1 << 16


@final
class Report(NamedTuple):
    """What a worker says: lines for standard output, or the error of its start."""

    kind: Kind
    lines: list[str]


@final
class Reports:
    """A worker's side of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def settings(self) -> Settings:
        """Return the settings to serve under, which come first."""
        with self._channel.makefile("rb", buffering=0) as reader:
            line = reader.readline()
        return Settings.model_validate_json(line)

    def send(self, kind: Kind, lines: list[str]) -> None:
        """Report; without a parent to read it, that is all the same."""
        text = json.dumps([kind, lines]).encode() + b"\n"
        try:
            self._channel.send(text, socket.MSG_DONTWAIT)
        except OSError:
            return

    def order(self) -> int | None:
        """Wait for a signal's number, None if the parent has ended."""
        try:
            sent = self._channel.recv(1)
        except OSError:
            return None
        return sent[0] if sent else None


@final
class Orders:
    """The parent's side of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._rest = b""

    def fileno(self) -> int:
        """Return what a selector waits for."""
        return self._channel.fileno()

    def send_settings(self, settings: Settings) -> None:
        """Send the settings."""
        self._send(settings.model_dump_json().encode() + b"\n")

    def send_signal(self, number: int) -> None:
        """Have the worker act as at a signal."""
        self._send(bytes([number]))

    def reports(self) -> list[Report] | None:
        """Return what has come, None once the worker has ended."""
        try:
            text = self._channel.recv(_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not text:
            return None
        *lines, self._rest = (self._rest + text).split(b"\n")
        parsed: list[Any] = [json.loads(line) for line in lines]
        return [Report(kind, said) for kind, said in parsed]

    def close(self) -> None:
        """Close this side."""
        self._channel.close()

    def _send(self, text: bytes) -> None:
        try:
            self._channel.sendall(text)
        except OSError:
            return  # it has ended, which is read from the channel
