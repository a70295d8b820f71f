"""
The protocol between the parent process and a worker, over a pair of sockets.

The parent first sends the settings, then signal numbers, one byte each. The worker
sends reports as lines of JSON: that it has started, that it failed to start, and a
heartbeat of its event loop every second. When either process exits, the other reads
end-of-file.
"""

import json
import socket
from typing import Any, Literal, NamedTuple, final

from app.settings import Settings

Kind = Literal["started", "failed", "beat"]
_BYTES = 1 << 16


@final
class Report(NamedTuple):
    """A report of a worker, with lines for standard output or its start-up error."""

    kind: Kind
    lines: list[str]


@final
class WorkerChannel:
    """A worker's side of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def settings(self) -> Settings:
        """Read the settings, which the parent sends first."""
        with self._channel.makefile("rb", buffering=0) as reader:
            line = reader.readline()
        return Settings.model_validate_json(line)

    def send(self, kind: Kind, lines: list[str]) -> None:
        """Send a report; ignore errors, as the parent may have exited."""
        text = json.dumps([kind, lines]).encode() + b"\n"
        try:
            self._channel.send(text, socket.MSG_DONTWAIT)
        except OSError:
            return

    def receive_signal(self) -> int | None:
        """Wait for a signal number; return None if the parent has exited."""
        try:
            sent = self._channel.recv(1)
        except OSError:
            return None
        return sent[0] if sent else None


@final
class ParentChannel:
    """The parent's side of the channel."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor that a selector waits for."""
        return self._channel.fileno()

    def send_settings(self, settings: Settings) -> None:
        """Send the settings."""
        self._send(settings.model_dump_json().encode() + b"\n")

    def send_signal(self, number: int) -> None:
        """Have the worker handle a signal."""
        self._send(bytes([number]))

    def reports(self) -> list[Report] | None:
        """Return the reports received; None once the worker has exited."""
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
        return [Report(kind, texts) for kind, texts in parsed]

    def close(self) -> None:
        """Close this side."""
        self._channel.close()

    def _send(self, text: bytes) -> None:
        try:
            self._channel.sendall(text)
        except OSError:
            return  # the worker has exited, which `reports` will notice
