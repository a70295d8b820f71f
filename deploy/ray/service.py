"""
Serve a checkpoint in Ray Serve: every replica runs the same application.

    VAE_CHECKPOINT=hf://user/model serve run deploy.ray.service:app max_replicas=8

The VAE_* variables are those of the process that starts it; what follows is a field of
`RayOptions`. A replica that cannot start raises an error, which Ray shows.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application

from app.configuration.environment import PREFIX, service_links
from app.main import build
from app.server.checkpoint_copy import with_checkpoint_here
from app.settings import Settings
from deploy.ray.replica import ReplicaApplication

_NAME = "vae"
_HEALTH_SECONDS = 5.0
_START_TRIES = 3


class RayOptions(BaseModel):
    """
    What Ray decides.

    Attributes:
        num_cpus: Of a replica; its compute threads too, unless VAE_THREADS says so.
        target_ongoing_requests: Requests of a replica, on average, at which Ray starts
            another one.
        max_ongoing_requests: Requests that a replica gets at a time. The batcher
            computes them together, so it is far above Ray's default of 5.
        max_queued_requests: Requests that wait in each proxy; more get 503.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=4, ge=1)
    num_cpus: float = Field(default=1.0, gt=0)
    target_ongoing_requests: float = Field(default=16.0, gt=0)
    max_ongoing_requests: int = Field(default=256, ge=1)
    max_queued_requests: int = Field(default=4096, ge=1)
    upscale_delay_s: float = Field(default=10.0, ge=0)
    downscale_delay_s: float = Field(default=300.0, ge=0)


class VaeReplica:
    """A replica; Ray's ingress adds the application to it, as `app`."""

    app: ReplicaApplication

    async def check_health(self) -> None:
        """
        Raise an error if the service is not alive, so that Ray replaces the replica.

        Raises:
            RuntimeError: `/livez` does not answer 200.
        """
        await self.app.check_live()


def app(options: RayOptions) -> Application:
    """
    Return the application for `serve run`.

    Raises:
        SettingsError: A VAE_* variable is unknown or has an invalid value.
    """
    variables = replica_variables(os.environ, options.num_cpus)
    settings = Settings.from_environment(variables)
    replica = serve.deployment(
        name=_NAME,
        max_ongoing_requests=options.max_ongoing_requests,
        max_queued_requests=options.max_queued_requests,
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": max(options.min_replicas, options.max_replicas),
            "target_ongoing_requests": options.target_ongoing_requests,
            "upscale_delay_s": options.upscale_delay_s,
            "downscale_delay_s": options.downscale_delay_s,
        },
        ray_actor_options={
            "num_cpus": options.num_cpus,
            "runtime_env": {"env_vars": variables},
        },
        health_check_period_s=_HEALTH_SECONDS,
        max_constructor_retry_count=_START_TRIES,
        graceful_shutdown_timeout_s=float(settings.drain_timeout),
    )
    return replica(serve.ingress(application)(VaeReplica)).bind()


def application() -> ReplicaApplication:
    """
    Build the service in a replica.

    Raises:
        SettingsError: A VAE_* variable is unknown or has an invalid value.
        StartError: The checkpoint, the device or the keys cannot be used.
    """
    settings = with_checkpoint_here(Settings.from_environment(os.environ))
    service = build(settings).asgi
    return ReplicaApplication(service, body_timeout=settings.body_timeout)


def replica_variables(environ: Mapping[str, str], num_cpus: float) -> dict[str, str]:
    """
    Return the VAE_* variables of replicas.

    Paths become absolute, because replicas run in other directories.
    """
    links = service_links(environ)
    found = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in links
    }
    checkpoint = Settings.from_environment(found).checkpoint
    if isinstance(checkpoint, Path):
        found["VAE_CHECKPOINT"] = str(checkpoint.resolve())
    found.setdefault("VAE_THREADS", str(max(1, int(num_cpus))))
    return found
