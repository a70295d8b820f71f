"""
Print the functions of this project that a request runs through, in their order.

    python -m benchmarks.request_path [--checkpoint released/mnist]

Two requests are traced from the socket on, each after others of its kind: POST /encode
with one row, and GET /sample. The counts do not depend on how busy the machine is.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, final

from uvicorn.server import ServerState

from app.connection.config import ServerConfig
from app.connection.protocol import Connection
from app.main import create_app
from app.settings import Settings
from benchmarks.processes import ROOT
from model import checkpoint

_WARM_UP = 50  # until nothing is imported or cached any more
_OURS = (f"{ROOT / 'app'}/", f"{ROOT / 'model'}/")


class Step(NamedTuple):
    """A function that was called, with its file."""

    file: str
    function: str


@final
class RequestPath(NamedTuple):
    """The functions that one request called, in their order."""

    steps: Sequence[Step]

    @property
    def files(self) -> list[str]:
        """The files, in the order in which they were entered."""
        return list(dict.fromkeys(step.file for step in self.steps))

    @property
    def visits(self) -> list[list[Step]]:
        """The steps, in groups of one file each."""
        return [list(group) for _, group in groupby(self.steps, lambda s: s.file)]

    def __str__(self) -> str:
        lines = [
            f"  {visit[0].file}: {', '.join(step.function for step in visit)}"
            for visit in self.visits
        ]
        counts = (
            f"{len(self.files)} files, {len(self.steps)} functions, "
            f"{len(self.visits) - 1} changes of file"
        )
        return "\n".join([counts, *lines])


@final
class _Transport(asyncio.Transport):
    """Takes what a connection writes, in place of a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.has_written = asyncio.Event()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        addresses = {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}
        return addresses.get(name, default)

    def write(self, data: Any) -> None:
        assert bytes(data).startswith(b"HTTP/1.1 200"), data
        self.has_written.set()

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass


def encode_request(path: Path) -> bytes:
    """Return POST /encode with one row, as the bytes that a client sends."""
    row = [0.5] * checkpoint.load(path).config.data_dim
    body = json.dumps({"x": [row]}).encode()
    lines = (
        b"POST /encode HTTP/1.1",
        b"host: 127.0.0.1",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def sample_request() -> bytes:
    """Return GET /sample, as the bytes that a client sends."""
    return b"GET /sample HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


async def traced(path: Path, request: bytes) -> RequestPath:
    """Return the way of a request through a service of the checkpoint in `path`."""
    settings = Settings(checkpoint=path, threads=1, access_log=False)
    app = create_app(settings)
    config = ServerConfig(app, settings, http=Connection)
    config.load()
    steps: list[Step] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(_OURS):
            steps.append(Step(file.removeprefix(f"{ROOT}/"), frame.f_code.co_name))

    async with app.framework.router.lifespan_context(app.framework):
        loop, transport = asyncio.get_running_loop(), _Transport()
        connection = Connection(config, ServerState(), {}, loop)
        connection.connection_made(transport)
        for _ in range(_WARM_UP):
            await _ask(connection, transport, request)
        sys.setprofile(note)
        try:
            await _ask(connection, transport, request)
        finally:
            sys.setprofile(None)
        connection.connection_lost(None)
    return RequestPath(steps)


async def _ask(connection: Connection, transport: _Transport, request: bytes) -> None:
    """Send a request; wait until its response is written and all is done."""
    transport.has_written.clear()
    connection.data_received(request)
    await transport.has_written.wait()
    for _ in range(3):
        await asyncio.sleep(0)


def main() -> None:
    """Print the ways of two requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "released" / "mnist")
    path: Path = parser.parse_args().checkpoint
    encode = asyncio.run(traced(path, encode_request(path)))
    print(f"POST /encode, one row: {encode}")
    print(f"GET /sample: {asyncio.run(traced(path, sample_request()))}")


if __name__ == "__main__":
    main()
