"""How uvicorn serves this service."""

import asyncio
from typing import final

import uvicorn
from starlette.types import ASGIApp

from app.connection.admission import Admission
from app.settings import Settings


@final
class Config(uvicorn.Config):
    """
    uvicorn's configuration.

    Attributes:
        limits: The settings, for the protocol of its connections.
        admission: What decides which of those are taken.
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
            proxy_headers=False,  # nothing here depends on where a client is
        )
        self.limits = settings
        self.admission = Admission(settings.max_connections)
