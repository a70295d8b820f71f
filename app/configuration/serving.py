"""The settings that say what is served, where, and by how many processes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.configuration.host_names import address, network, prefix, split
from model.machine import available_cores
from model.remote.location import RemoteLocation, location

# The same place in the repository, in the images and in an installed wheel.
RELEASED = Path(__file__).parents[2] / "released" / "mnist"
LEAST_WATCH_SECONDS = 0.01


def _threads(n_workers: int) -> int:
    return available_cores() if n_workers == 1 else 1


def _parsed_url(given: object) -> object:
    """
    Return the location that a URL names; return other objects, and paths, unchanged.

    Raises:
        PydanticCustomError: A text begins like a URL and is none.
    """
    if not isinstance(given, str):
        return given
    try:
        found = location(given)
        return given if isinstance(found, Path) else found
    except ValueError as error:
        raise PydanticCustomError(
            "location", "{wanted}", {"wanted": str(error)}
        ) from None


def _check_interval(seconds: float) -> float:
    """
    Return the seconds between two checks of the origin.

    Raises:
        PydanticCustomError: They are so few that the checks alone keep a core busy.
    """
    if 0 < seconds < LEAST_WATCH_SECONDS:
        wanted = f"0, or at least {LEAST_WATCH_SECONDS}"
        raise PydanticCustomError("interval", "{wanted}", {"wanted": wanted})
    return seconds


def checkpoint_directory(values: Mapping[str, Any]) -> Path:
    """Return the directory with the checkpoint that these settings name."""
    checkpoint: Path | RemoteLocation = values.get("checkpoint", RELEASED)
    if isinstance(checkpoint, Path):
        return checkpoint
    return checkpoint.copy_in(values.get("checkpoint_cache"))


class ServingSettings(BaseModel):
    """What is served, where, and by how many processes; abstract."""

    checkpoint: Annotated[
        Path | RemoteLocation,
        BeforeValidator(_parsed_url),
        Field(
            description="Checkpoint to serve: a directory, or a URL such as "
            "`hf://user/model@revision` or `https://host/folder`.",
            json_schema_extra={"default_in_words": "the released model of MNIST"},
        ),
    ] = RELEASED
    checkpoint_cache: Annotated[
        Path | None,
        Field(
            description="Folder for copies of checkpoints that are behind URLs.",
            json_schema_extra={"default_in_words": "a folder of the user's cache"},
        ),
    ] = None
    watch_seconds: Annotated[
        float,
        AfterValidator(_check_interval),
        Field(
            ge=0,
            le=86_400,
            allow_inf_nan=False,
            description="Seconds between two checks for a new checkpoint in the "
            "directory or behind the URL; 0 checks only on SIGHUP.",
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
            json_schema_extra={"default_in_words": "not set"},
        ),
    ] = None
    root_path: Annotated[
        str,
        AfterValidator(prefix),
        Field(
            description="Path prefix under which a proxy offers the service, such as "
            "`/vae`, whether it removes the prefix or not.",
            json_schema_extra={"default_in_words": "not set"},
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
        ),
    ] = True

    @property
    def checkpoint_directory(self) -> Path:
        """The directory with the checkpoint, which may be the copy of one elsewhere."""
        return checkpoint_directory(vars(self))
