"""A service in a thread of this process that listens on a port."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from app.connection.config import ServerConfig
from app.connection.protocol import Connection
from app.main import create_app
from app.settings import Settings


@contextmanager
def serving(path: Path, **settings: Any) -> Iterator[str]:
    """Serve a checkpoint on a free port of this machine; yield the address."""
    chosen = Settings(checkpoint=path, threads=1, **settings)
    config = ServerConfig(create_app(chosen), chosen, http=Connection)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
