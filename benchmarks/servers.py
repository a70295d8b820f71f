"""The servers that are compared: ours, its peers, and HTTP without a model."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.error import URLError
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

from benchmarks.processes import ROOT, Process
from benchmarks.workload import Request

PEERS = ROOT / "benchmarks" / ".peers"
TORCH = "torch==2.13.0"
PACKAGES = {
    "litserve": "litserve==0.2.19",
    "bentoml": "bentoml==1.4.39",
    "mlserver": "mlserver==1.7.1",
}
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Ports:
    """Free ports: one for the server, and two more that some servers need."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Server:
    """
    How a server is started.

    Attributes:
        command: May name {port}, {folder} and {model}, the checkpoint's directory.
        package: The peer's package, if it needs an environment of its own.
        files: What must lie in {folder}, by name.
    """

    command: tuple[str, ...]
    model: str = "digits"
    package: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, object] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The interpreter that runs it."""
        if self.package is None:
            return Path(sys.executable)
        return PEERS / self.package / "bin" / "python"

    @property
    def installed(self) -> bool:
        """Whether its environment is there."""
        return self.python.exists()


@dataclass(frozen=True, eq=False)
class Running:
    """A server that has answered."""

    process: Process
    port: int


def _ours(model: str, module: str = "app") -> Server:
    return Server(
        ("-m", module),
        model,
        environment={
            "VAE_CHECKPOINT": "{model}",
            "VAE_PORT": "{port}",
            "VAE_THREADS": "1",
            "VAE_LOG_LEVEL": "warning",
        },
    )


def _uvicorn(application: str, model: str = "digits", *options: str) -> Server:
    return Server(
        (
            *("-m", "uvicorn", f"benchmarks.peers.{application}"),
            *("--host", "127.0.0.1", "--port", "{port}"),
            *("--http", "httptools", "--loop", "uvloop"),
            *("--no-access-log", "--log-level", "warning", *options),
        ),
        model,
    )


def _litserve(max_batch_size: int, seconds: float) -> Server:
    return Server(
        ("-m", "benchmarks.peers.lit"),
        package="litserve",
        environment={
            "PORT": "{port}",
            "MAX_BATCH_SIZE": str(max_batch_size),
            "BATCH_TIMEOUT": str(seconds),
        },
    )


def _mlserver(max_batch_size: int, seconds: float) -> Server:
    return Server(
        ("-m", "mlserver.cli.main", "start", "{folder}"),
        package="mlserver",
        files={
            "settings.json": {
                "host": "127.0.0.1",
                "http_port": "{port}",
                "grpc_port": "{grpc}",
                "metrics_port": "{metrics}",
                "metrics_endpoint": None,
                "parallel_workers": 0,
                "debug": False,
                "gzip_enabled": False,
            },
            "model-settings.json": {
                "name": "vae",
                "implementation": "benchmarks.peers.mls.Encoder",
                "max_batch_size": max_batch_size,
                "max_batch_time": seconds,
            },
        },
    )


_BENTOML = Server(
    (
        *("-m", "bentoml", "serve", "benchmarks.peers.bento:Encoder"),
        *("--host", "127.0.0.1", "--port", "{port}"),
    ),
    package="bentoml",
    environment={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{folder}"},
)
SERVERS: Mapping[str, Server] = {
    "ours": _ours("digits"),
    "ours, images": _ours("images"),
    "ours, unsplit": _ours("digits", "benchmarks.peers.unsplit"),
    "raw ASGI, no-op": _uvicorn("noop:raw", "digits", "--lifespan", "off"),
    "Starlette, no-op": _uvicorn("noop:starlette", "digits", "--factory"),
    "FastAPI, no-op": _uvicorn("noop:fastapi", "digits", "--factory"),
    "naive FastAPI": _uvicorn("naive:digits", "digits", "--factory"),
    "naive FastAPI, images": _uvicorn("naive:images", "images", "--factory"),
    # The settings that did best of those tried, with batches and without.
    "LitServe, batches": _litserve(64, 0.01),
    "LitServe, no batches": _litserve(1, 0.0),
    "BentoML": _BENTOML,
    "MLServer, batches": _mlserver(64, 0.0001),
    "MLServer, no batches": _mlserver(0, 0.0),
}


@contextmanager
def running(
    name: str,
    *,
    models: Path,
    folder: Path,
    core: int,
    first: Request,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Running]:
    """
    Start a server, wait for the right answer to a first request, and end it after all.

    Args:
        environment: Variables in addition to the server's own.

    Raises:
        RuntimeError: It ended, or did not answer in two minutes.
    """
    server, ports = SERVERS[name], Ports(*_free_ports(3))
    folder = folder / name.replace(" ", "-").replace(",", "")
    folder.mkdir()
    values = {
        "{port}": str(ports.http),
        "{grpc}": str(ports.grpc),
        "{metrics}": str(ports.metrics),
        "{folder}": str(folder),
        "{model}": str(models / server.model),
    }
    for file, content in server.files.items():
        (folder / file).write_text(_filled(json.dumps(content), values))
    weights = models / server.model / "model.safetensors"
    given = {k: _filled(v, values) for k, v in server.environment.items()}
    process = Process(
        [str(server.python), *(_filled(word, values) for word in server.command)],
        core=core,
        environment={"WEIGHTS": str(weights), **given, **environment},
        log=folder.with_suffix(".log"),
    )
    try:
        _await_answer(process, ports.http, first)
        yield Running(process, ports.http)
    finally:
        process.end()


def install(package: str) -> None:
    """
    Make a peer's environment.

    Raises:
        CalledProcessError: A package could not be installed.
    """
    environment = PEERS / package
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    needed = (TORCH, "numpy", "safetensors", PACKAGES[package])
    subprocess.run([*pip, *needed], check=True)


def _free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports: list[int] = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _await_answer(process: Process, port: int, first: Request) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        process.check_runs()
        try:
            first.check(ask(port, first))
            return
        except URLError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer: {error}{process}") from error
            time.sleep(0.1)


def ask(port: int, request: Request) -> bytes:
    """
    Return the answer to one request.

    Raises:
        URLError: The server cannot be reached, or refuses.
    """
    url = f"http://127.0.0.1:{port}{request.path}"
    headers = {"Content-Type": request.media_type, "Accept": request.media_type}
    with urlopen(
        UrlRequest(url, request.body, headers),
        timeout=60,
    ) as response:
        answer: bytes = response.read()
    return answer
