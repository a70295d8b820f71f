"""What an operator may set: one frozen `Settings`, read from VAE_* variables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from app.configuration import environment, memory_limits
from app.configuration.environment import SettingRow
from app.configuration.host_names import host_name, origin, split, split_names
from app.configuration.machine import available_cores

# In the repository, in the images and where the wheel is installed.
RELEASED = Path(__file__).parents[1] / "released" / "mnist"


def _threads(n_workers: int) -> int:
    return available_cores() if n_workers == 1 else 1


def _within_memory(most: int, cost: int) -> Any:
    """Return what makes a default: so many, or as many of that cost as have room."""
    return Field(
        default_factory=lambda values: min(
            most,
            memory_limits.share(
                values.get("checkpoint", RELEASED), values.get("workers", 1)
            )
            // cost,
        ),
        json_schema_extra={
            "default_in_words": f"{most}, or less where memory is short"
        },
    )


@final
class Settings(BaseModel):
    """Every setting, its bounds as its type and its meaning as its description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Annotated[
        Path,
        Field(
            description="Directory of the checkpoint to serve.",
            json_schema_extra={"default_in_words": "the released model of MNIST"},
        ),
    ] = RELEASED
    watch_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=86_400,
            allow_inf_nan=False,
            description="Seconds between two looks for a new checkpoint in its place; "
            "0 looks at SIGHUP only.",
        ),
    ] = 0.0
    host: Annotated[str, Field(min_length=1, description="Address to listen on.")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int,
        Field(ge=0, le=65_535, description="Port to listen on; 0 takes a free one."),
    ] = 8000
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(description="Where the model computes; `auto` takes a GPU if there is."),
    ] = "cpu"
    backend: Annotated[
        Literal["auto", "torch", "onnx"],
        Field(
            description="What computes the layers; `auto` takes ONNX Runtime on a CPU "
            "if its answers are torch's."
        ),
    ] = "auto"
    workers: Annotated[
        int,
        Field(ge=1, le=256, description="Processes that serve, each with the model."),
    ] = 1
    threads: Annotated[
        int,
        Field(
            default_factory=lambda values: _threads(values.get("workers", 1)),
            ge=1,
            le=1024,
            description="Threads of one matrix product.",
            json_schema_extra={
                "default_in_words": "the cores available; 1 with several workers"
            },
        ),
    ]
    explorer: Annotated[
        bool,
        Field(
            description="Whether `/` is a page to explore the model with, and "
            "`/examples` the checkpoint's held-out rows that it shows.",
            json_schema_extra={"default_in_words": "true"},
        ),
    ] = True
    max_body_bytes: Annotated[
        int, Field(ge=1024, description="Largest request body, in bytes.")
    ] = _within_memory(64 << 20, memory_limits.PER_BODY_BYTE)
    max_bodies_bytes: Annotated[
        int,
        Field(
            ge=1024,
            description="Most bytes of long bodies in hand, of a worker; past it, 429.",
        ),
    ] = _within_memory(512 << 20, memory_limits.PER_BODY_BYTE)
    max_responses_bytes: Annotated[
        int,
        Field(
            ge=1024,
            description="Most bytes of long responses that are computed and not yet "
            "taken, of a worker; past it, 429.",
        ),
    ] = _within_memory(512 << 20, memory_limits.PER_BYTE)
    max_rows: Annotated[
        int, Field(ge=1, description="Most rows of a request: N, or n of `/sample`.")
    ] = 16_384
    max_n_samples: Annotated[
        int, Field(ge=1, description="Most draws of z per example (K) in `/elbo`.")
    ] = 10_000
    max_output_values: Annotated[
        int, Field(ge=1, description="Most data values of an answer: N x D.")
    ] = _within_memory(1 << 24, memory_limits.PER_OUTPUT_VALUE)
    max_image_pixels: Annotated[
        int,
        Field(
            ge=1,
            le=1 << 26,
            description="Most pixels of the images of a request, or of an answer "
            "in PNG.",
        ),
    ] = _within_memory(1 << 24, memory_limits.PER_PIXEL)
    max_work: Annotated[
        int,
        Field(
            ge=1,
            description="Most values `/elbo` may compute: K x N x D, or K x N x J "
            "where J is the larger.",
        ),
    ] = 1 << 29
    max_queue_rows: Annotated[
        int, Field(ge=1, description="Most rows in hand; past it, 429.")
    ] = 65_536
    max_queue_bytes: Annotated[
        int, Field(ge=1, description="Most bytes of rows in hand; past it, 429.")
    ] = _within_memory(1 << 30, memory_limits.PER_BYTE)
    request_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds an answer may take; `X-Request-Timeout` sets less.",
        ),
    ] = 120.0
    drain_delay: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="Seconds from SIGTERM, when `/readyz` turns 503, to the end of "
            "taking requests.",
        ),
    ] = 2.0
    drain_timeout: Annotated[
        int,
        Field(
            ge=1, le=3600, description="Seconds that accepted requests have after that."
        ),
    ] = 30
    max_analyses: Annotated[
        int,
        Field(ge=1, le=10_000, description="Most analyses in hand or waiting."),
    ] = 16
    max_analysis_rows: Annotated[
        int, Field(ge=1, description="Most rows of an analysis.")
    ] = 256
    max_draws: Annotated[
        int,
        Field(
            ge=256,
            description="Most draws of z per example for log p(x): 32 x `n_samples`, "
            "or `budget`; in `/impute` `n_draws`, and `n_samples`.",
        ),
    ] = 65_536
    max_analysis_work: Annotated[
        int,
        Field(
            ge=1,
            description="Most values an analysis may decode: draws x N x D, or "
            "draws x N x J where J is the larger.",
        ),
    ] = 1 << 34
    max_connections: Annotated[
        int, Field(ge=1, description="Most open connections of a worker.")
    ] = _within_memory(1024, memory_limits.PER_CONNECTION)
    max_headers: Annotated[
        int, Field(ge=1, le=10_000, description="Most headers of a request.")
    ] = 100
    max_header_bytes: Annotated[
        int,
        Field(
            ge=256,
            le=1 << 20,
            description="Largest head of a request: target, headers.",
        ),
    ] = 16_384
    head_timeout: Annotated[
        float, Field(gt=0, le=3600, description="Seconds for the head of a request.")
    ] = 10.0
    body_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds for the body of a request, beside those at "
            "the lowest rate.",
        ),
    ] = 30.0
    min_body_rate: Annotated[
        int, Field(ge=1, description="Lowest rate of a body, in bytes per second.")
    ] = 16_384
    idle_timeout: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds a connection may rest, or leave an answer unread.",
        ),
    ] = 75.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Least severity that is logged."),
    ] = "info"
    access_log: Annotated[
        bool, Field(description="Whether each request is told on standard output.")
    ] = False
    api_keys_file: Annotated[
        Path | None,
        Field(
            description="File with the SHA-256 of each access key; with it, requests "
            "need one.",
            json_schema_extra={"default_in_words": "none"},
        ),
    ] = None
    metrics_public: Annotated[
        bool,
        Field(description="Whether `/metrics` is read without a key."),
    ] = False
    cors_origins: Annotated[
        tuple[Annotated[str, AfterValidator(origin)], ...],
        BeforeValidator(split),
        Field(
            description="Origins whose pages may ask, comma separated; `*` is all.",
            json_schema_extra={"default_in_words": "none"},
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(host_name)], ...],
        BeforeValidator(split_names),
        Field(
            description="Names in the Host of requests that are answered, comma "
            "separated.",
            json_schema_extra={"default_in_words": "any"},
        ),
    ] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """
        Read the VAE_* variables of `environ`; other variables are not looked at.

        Raises:
            SettingsError: A name is unknown or a value unusable.
        """
        return environment.read(cls, environ)


def documented() -> tuple[SettingRow, ...]:
    """Return one row per setting, in order, for the README's table."""
    return environment.rows(Settings)
