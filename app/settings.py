"""
The settings of the service: one frozen `Settings`, read from VAE_* variables.

What is served, where and by how many processes is in `app.configuration.serving`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
)

from app.configuration import environment, memory_limits
from app.configuration.environment import SettingRow
from app.configuration.host_names import host_name, origin, split, split_names
from app.configuration.serving import ServingSettings, checkpoint_directory

# Larger limits, of whatever is counted, are no limits: the memory ends before them.
MOST = 1 << 50
# Shorter times end connections that do nothing wrong, and keep the timers busy.
LEAST_SECONDS = 0.1


def _within_memory(limit: int, cost: int) -> Any:
    """Return a field with the default `limit`, or less if its memory share is less."""
    return Field(
        default_factory=lambda values: min(
            limit,
            memory_limits.share(checkpoint_directory(values), values.get("workers", 1))
            // cost,
        ),
        json_schema_extra={"default_in_words": f"{limit}, or less if memory is short"},
    )


@final
class Settings(ServingSettings):
    """All settings, each with its type, bounds, default and description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_body_bytes: Annotated[
        int, Field(ge=1024, le=MOST, description="Largest request body, in bytes.")
    ] = _within_memory(64 << 20, memory_limits.PER_BODY_BYTE)
    max_bodies_bytes: Annotated[
        int,
        Field(
            ge=1024,
            le=MOST,
            description="Most bytes of long bodies in memory at a time, per worker; "
            "more are refused with 429.",
        ),
    ] = _within_memory(512 << 20, memory_limits.PER_BODY_BYTE)
    max_responses_bytes: Annotated[
        int,
        Field(
            ge=1024,
            le=MOST,
            description="Most bytes of long responses that clients have not read yet, "
            "per worker; more are refused with 429.",
        ),
    ] = _within_memory(512 << 20, memory_limits.PER_BYTE)
    max_rows: Annotated[
        int,
        Field(
            ge=1, le=MOST, description="Most rows of a request: N, or n in `/sample`."
        ),
    ] = 16_384
    max_n_samples: Annotated[
        int,
        Field(ge=1, le=MOST, description="Most draws of z per example (K) in `/elbo`."),
    ] = 10_000
    max_output_values: Annotated[
        int, Field(ge=1, le=MOST, description="Most data values of a response: N x D.")
    ] = _within_memory(1 << 24, memory_limits.PER_OUTPUT_VALUE)
    max_image_pixels: Annotated[
        int,
        Field(
            ge=1,
            le=1 << 26,
            description="Most pixels of the images of a request, or of a response in "
            "PNG.",
        ),
    ] = _within_memory(1 << 24, memory_limits.PER_PIXEL)
    max_work: Annotated[
        int,
        Field(
            ge=1,
            le=MOST,
            description="Most values `/elbo` may compute: K x N x D, or K x N x J "
            "if J is larger than D.",
        ),
    ] = 1 << 29
    max_queue_rows: Annotated[
        int,
        Field(ge=1, le=MOST, description="Most rows queued or computed; more get 429."),
    ] = 65_536
    max_queue_bytes: Annotated[
        int,
        Field(
            ge=1,
            le=MOST,
            description="Most bytes of rows queued or computed; more get 429.",
        ),
    ] = _within_memory(1 << 30, memory_limits.PER_BYTE)
    request_timeout: Annotated[
        float,
        Field(
            ge=LEAST_SECONDS,
            le=86_400,
            description="Seconds a response may take; a request may set less with "
            "`X-Request-Timeout`.",
        ),
    ] = 120.0
    drain_delay: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="Seconds after SIGTERM in which new requests are still "
            "accepted, while `/readyz` returns 503.",
        ),
    ] = 2.0
    drain_timeout: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds after the drain delay to finish accepted requests.",
        ),
    ] = 30
    max_analyses: Annotated[
        int,
        Field(ge=1, le=10_000, description="Most analyses at a time; more get 429."),
    ] = 16
    max_analysis_rows: Annotated[
        int, Field(ge=1, le=MOST, description="Most rows of an analysis.")
    ] = 256
    max_draws: Annotated[
        int,
        Field(
            ge=256,
            le=MOST,
            description="Most draws of z per example for log p(x): 32 x `n_samples`, "
            "or `budget`; in `/impute` `n_draws`, and `n_samples`.",
        ),
    ] = 65_536
    max_analysis_work: Annotated[
        int,
        Field(
            ge=1,
            le=MOST,
            description="Most values an analysis may decode: draws x N x D, or "
            "draws x N x J if J is larger than D.",
        ),
    ] = 1 << 34
    max_connections: Annotated[
        int, Field(ge=1, le=MOST, description="Most open connections per worker.")
    ] = _within_memory(1024, memory_limits.PER_CONNECTION)
    max_headers: Annotated[
        int, Field(ge=16, le=10_000, description="Most headers of a request.")
    ] = 100
    max_header_bytes: Annotated[
        int,
        Field(
            ge=256,
            le=1 << 20,
            description="Largest head of a request, target and headers, in bytes.",
        ),
    ] = 16_384
    head_timeout: Annotated[
        float,
        Field(
            ge=LEAST_SECONDS, le=3600, description="Seconds for the head of a request."
        ),
    ] = 10.0
    body_timeout: Annotated[
        float,
        Field(
            ge=LEAST_SECONDS,
            le=3600,
            description="Seconds for the body of a request, plus the time it needs at "
            "the lowest allowed rate.",
        ),
    ] = 30.0
    min_body_rate: Annotated[
        int,
        Field(
            ge=1,
            le=MOST,
            description="Lowest allowed rate of a body, in bytes per second.",
        ),
    ] = 16_384
    idle_timeout: Annotated[
        float,
        Field(
            ge=LEAST_SECONDS,
            le=3600,
            description="Seconds a connection may be idle, or not read a response.",
        ),
    ] = 75.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Lowest severity that is logged."),
    ] = "info"
    access_log: Annotated[
        bool, Field(description="Whether to log each request on standard output.")
    ] = False
    access_log_client: Annotated[
        bool,
        Field(description="Whether the access log has the address of the client."),
    ] = False
    api_keys_file: Annotated[
        Path | None,
        Field(
            description="File with the SHA-256 of each access key; if set, requests "
            "need a key.",
            json_schema_extra={"default_in_words": "not set"},
        ),
    ] = None
    metrics_public: Annotated[
        bool, Field(description="Whether `/metrics` can be read without a key.")
    ] = False
    cors_origins: Annotated[
        tuple[Annotated[str, AfterValidator(origin)], ...],
        BeforeValidator(split),
        Field(
            description="Origins that may send cross-origin requests, a list with "
            "commas; `*` allows all.",
            json_schema_extra={"default_in_words": "not set"},
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(host_name)], ...],
        BeforeValidator(split_names),
        Field(
            description="Host names that the service answers for, a list with commas.",
            json_schema_extra={"default_in_words": "all hosts"},
        ),
    ] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """
        Read the VAE_* variables of `environ`, and ignore all others.

        Raises:
            SettingsError: A name is unknown or a value is invalid.
        """
        return environment.read(cls, environ)


def setting_rows() -> tuple[SettingRow, ...]:
    """Return one row per setting, in order, for the documentation."""
    return environment.rows(Settings)
