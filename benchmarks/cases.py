"""The cases: which servers get which requests, and which figure is compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from benchmarks.workload import (
    BENTO,
    BINARY,
    NATIVE,
    V2,
    Dialect,
    Request,
    elbos,
    encodings,
    naive_elbos,
    naive_samples,
    samples,
    unchecked,
)
from model.vae import VAE

Figure = Literal["requests_per_second", "rows_per_second", "p50_ms", "p99_ms"]
Models = Mapping[str, VAE]
Requests = Callable[[Models], tuple[Request, ...]]

NO_OPS = ("raw ASGI, no-op", "Starlette, no-op", "FastAPI, no-op")
PEERS: Mapping[str, Dialect] = {
    "naive FastAPI": NATIVE,
    "LitServe, batches": NATIVE,
    "LitServe, no batches": NATIVE,
    "BentoML": BENTO,
    "MLServer, batches": V2,
    "MLServer, no batches": V2,
}
OURS = "ours"
WITHOUT_SPLITTING = "ours, unsplit"
JSON_ENTRY, BINARY_ENTRY = "ours, JSON", "ours, safetensors"
TORCH, ENGINE = "in process, torch", "in process, engine"

_ROWS_OF_LONG = 4096


@dataclass(frozen=True, eq=False)
class Served:
    """A server under load, and the requests it gets."""

    server: str
    requests: Requests


@dataclass(frozen=True)
class InProcess:
    """A loop around the encoder, without HTTP."""

    way: Literal["torch", "engine"]
    model: str
    n_rows: int


@dataclass(frozen=True, eq=False)
class Case:
    """
    One comparison.

    Attributes:
        figure: The figure that is compared; tables show the others too.
        entries: The servers or loops, by their names in the tables.
        mixed: Whether its requests are of several kinds, which wrk cannot distinguish.
    """

    name: str
    title: str
    figure: Figure
    connections: int
    entries: Mapping[str, Served | InProcess]
    mixed: bool = False


def cases() -> tuple[Case, ...]:
    """Return every case."""
    return (
        _json_case("json-1x16", 1, 16, "requests_per_second"),
        _json_case("json-1x64", 1, 64, "requests_per_second"),
        _json_case("json-1x1", 1, 1, "p50_ms"),
        _json_case("json-32x4", 32, 4, "rows_per_second"),
        _json_case("json-256x2", 256, 2, "rows_per_second"),
        _binary_row(),
        _binary_rows("binary-256", 256),
        _binary_rows("binary-4096", _ROWS_OF_LONG),
        _sample(),
        _elbo(),
        _mixed(),
        _images(),
    )


def _json_case(name: str, n_rows: int, connections: int, figure: Figure) -> Case:
    ours = _encodings(NATIVE, n_rows)
    entries: dict[str, Served] = {OURS: Served(OURS, ours)}
    if n_rows == 1:
        for no_op in NO_OPS:
            entries[no_op] = Served(no_op, _ignored(ours))
    for peer, dialect in PEERS.items():
        entries[peer] = Served(peer, _encodings(dialect, n_rows))
    return Case(
        name,
        f"/encode, JSON, {n_rows} row{'s' * (n_rows > 1)} a request",
        figure,
        connections,
        entries,
    )


def _binary_row() -> Case:
    ours = _encodings(BINARY, 1)
    return Case(
        "binary-1x64",
        "/encode, safetensors, 1 row a request",
        "requests_per_second",
        64,
        {
            OURS: Served(OURS, ours),
            **{no_op: Served(no_op, _ignored(ours)) for no_op in NO_OPS},
        },
    )


def _binary_rows(name: str, n_rows: int) -> Case:
    return Case(
        name,
        f"/encode, safetensors, {n_rows:,} rows a request",
        "rows_per_second",
        2,
        {
            OURS: Served(OURS, _encodings(BINARY, n_rows)),
            TORCH: InProcess("torch", "digits", n_rows),
            ENGINE: InProcess("engine", "digits", n_rows),
        },
    )


def _sample() -> Case:
    return Case(
        "sample-64",
        "/sample, JSON, n = 64",
        "requests_per_second",
        4,
        {
            OURS: Served(OURS, lambda models: samples(models["digits"], 64)),
            "naive FastAPI": Served(
                "naive FastAPI",
                lambda models: naive_samples(64, models["digits"].config.data_dim),
            ),
        },
    )


def _elbo() -> Case:
    return Case(
        "elbo-32",
        "/elbo, JSON, 32 rows a request, K = 1",
        "requests_per_second",
        4,
        {
            OURS: Served(OURS, lambda models: elbos(models["digits"], 32)),
            "naive FastAPI": Served(
                "naive FastAPI", lambda models: naive_elbos(models["digits"], 32)
            ),
        },
    )


def _mixed() -> Case:
    def requests(models: Models) -> tuple[Request, ...]:
        singles = encodings(models["digits"], NATIVE, 1)
        return (*singles[:9], encodings(models["digits"], BINARY, _ROWS_OF_LONG)[0])

    return Case(
        "mixed",
        f"/encode, 9 requests of 1 row (JSON) to 1 of {_ROWS_OF_LONG:,} (safetensors)",
        "p99_ms",
        16,
        {
            OURS: Served(OURS, requests),
            WITHOUT_SPLITTING: Served(WITHOUT_SPLITTING, requests),
        },
        mixed=True,
    )


def _images() -> Case:
    as_json = _encodings(NATIVE, 1, model="images")
    as_bytes = _encodings(BINARY, 1, model="images")
    return Case(
        "images-1x16",
        "/encode, convolutional network, 64 x 64 x 3, J = 128, 1 image a request",
        "rows_per_second",
        16,
        {
            JSON_ENTRY: Served("ours, images", as_json),
            BINARY_ENTRY: Served("ours, images", as_bytes),
            "naive FastAPI": Served("naive FastAPI, images", as_json),
            TORCH: InProcess("torch", "images", 16),
            ENGINE: InProcess("engine", "images", 16),
        },
    )


def _encodings(dialect: Dialect, n_rows: int, model: str = "digits") -> Requests:
    return partial(_encodings_of, dialect=dialect, n_rows=n_rows, model=model)


def _encodings_of(
    models: Models, *, dialect: Dialect, n_rows: int, model: str
) -> tuple[Request, ...]:
    return encodings(models[model], dialect, n_rows)


def _ignored(requests: Requests) -> Requests:
    return lambda models: unchecked(requests(models))
