"""`python -m app`: serve the model on the host and port of the settings."""

import logging
import os
import socket
import sys
from contextlib import suppress

import uvicorn

from app.settings import Settings, SettingsError
from app.startup import STARTUP_FAILURE, fail


class Server(uvicorn.Server):
    """A uvicorn server that says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                sys.stdout.write(f"listening on http://{host}:{port}\n")
        sys.stdout.flush()


def main() -> int:
    """Serve until a signal comes; return the exit status."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        fail(error)
    level = settings.log_level.upper()
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    server = Server(
        uvicorn.Config(
            "app.main:from_environment",
            factory=True,
            host=settings.host,
            port=settings.port,
            http="httptools",
            loop="uvloop",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
        )
    )
    with suppress(KeyboardInterrupt):  # raised again by uvicorn after a clean end
        server.run()
    return 0 if server.started else STARTUP_FAILURE


if __name__ == "__main__":
    sys.exit(main())
