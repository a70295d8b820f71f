"""How uvicorn serves this service; its workers are started with the same."""

import asyncio
from typing import final

import uvicorn

from app.settings import Settings


@final
class Config(uvicorn.Config):
    """
    uvicorn's configuration.

    Attributes:
        limits: The settings, for the protocol of its connections.
    """

    def __init__(self, settings: Settings, *, http: type[asyncio.Protocol]) -> None:
        super().__init__(
            "app.main:from_environment",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
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
