"""The settings that say what is served, where, and by how many processes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from app.configuration.host_names import address, network, prefix, split
from model.machine import available_cores

# The same place in the repository, in the images and in an installed wheel.
RELEASED = Path(__file__).parents[2] / "released" / "mnist"


def _threads(n_workers: int) -> int:
    return available_cores() if n_workers == 1 else 1


class ServingSettings(BaseModel):
    """What is served, where, and by how many processes; abstract."""

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
            description="Seconds between two checks for a new checkpoint in the "
            "directory; 0 checks only on SIGHUP.",
        ),
    ] = 0.0
    host: Annotated[
        str,
        AfterValidator(address),
        Field(
            min_length=1,
            description="Address to listen on; `::` is all addresses, of IPv4 too.",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Field(ge=0, le=65_535, description="Port to listen on; 0 picks a free port."),
    ] = 8000
    uds: Annotated[
        Path | None,
        Field(
            description="Unix socket to listen on, instead of an address and a port.",
            json_schema_extra={"default_in_words": "none"},
        ),
    ] = None
    root_path: Annotated[
        str,
        AfterValidator(prefix),
        Field(
            description="Path prefix under which a proxy offers the service, such as "
            "`/vae`, whether it removes the prefix or not.",
            json_schema_extra={"default_in_words": "none"},
        ),
    ] = ""
    forwarded_allow_ips: Annotated[
        tuple[Annotated[str, AfterValidator(network)], ...],
        BeforeValidator(split),
        Field(
            description="Proxies whose forwarded headers are believed: addresses or "
            "networks, a list with commas; `*` is all.",
            json_schema_extra={"default_in_words": "127.0.0.1,::1"},
        ),
    ] = ("127.0.0.1", "::1")
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(description="Device of the model; `auto` uses a GPU if there is one."),
    ] = "cpu"
    backend: Annotated[
        Literal["auto", "torch", "onnx"],
        Field(
            description="Library that computes the layers; `auto` uses ONNX Runtime on "
            "a CPU if its results agree with torch's."
        ),
    ] = "auto"
    workers: Annotated[
        int,
        Field(ge=1, le=256, description="Worker processes, each with its own model."),
    ] = 1
    threads: Annotated[
        int,
        Field(
            default_factory=lambda values: _threads(values.get("workers", 1)),
            ge=1,
            le=1024,
            description="Threads for one matrix product.",
            json_schema_extra={
                "default_in_words": "the available cores; 1 with several workers"
            },
        ),
    ]
    explorer: Annotated[
        bool,
        Field(
            description="Whether to serve the explorer page at `/`, and the "
            "checkpoint's held-out rows at `/examples`.",
            json_schema_extra={"default_in_words": "true"},
        ),
    ] = True
