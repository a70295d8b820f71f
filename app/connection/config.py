"""The configuration of uvicorn for this service."""

import asyncio
from typing import final

import uvicorn
from starlette.types import ASGIApp

from app.connection.admission import Admission
from app.settings import Settings


@final
class ServerConfig(uvicorn.Config):
    """
    uvicorn's configuration, with what `Connection` needs.

    Attributes:
        limits: The settings, which hold the limits of a connection.
        admission: Decides which connections are accepted.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, *, http: type[asyncio.Protocol]
    ) -> None:
        super().__init__(
            app,
            http=http,
            ws="none",
            loop="uvloop",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.drain_timeout,
            proxy_headers=False,  # nothing here depends on the client's address
        )
        self.limits = settings
        self.admission = Admission(settings.max_connections)
