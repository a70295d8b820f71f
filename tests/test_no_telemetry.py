"""Nothing that the service or the training loads talks to anybody."""

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests import plain_http
from tests.app.processes import PYTHON_APP, ROOT, SECONDS, process

# With the filter, no other call of the system stops the process.
STRACE = (
    *("strace", "-D", "-f", "--seccomp-bpf", "-qq"),
    *("-e", "trace=socket", "-e", "signal=none"),
)

pytestmark = pytest.mark.slow("starts the service and traces it")


def strace(log: Path) -> tuple[str, ...]:
    """Return what writes the sockets that a command opens to a file; () if it fails."""
    if shutil.which("strace") is None:
        return ()
    tried = subprocess.run([*STRACE, "-o", log, "true"], check=False)
    return (*STRACE, "-o", str(log)) if tried.returncode == 0 else ()


def internet_sockets(log: Path) -> list[str]:
    """Return the families of the sockets to other machines that were opened."""
    return re.findall(r"socket\((AF_INET6?|AF_PACKET)", log.read_text())


def foreign_connections(pid: int, port: int) -> list[str]:
    """Return what a process has open to the internet, but for its own port."""
    inodes = set[str]()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile, as that of the request
            inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [
        row.split()
        for kind in ("tcp", "tcp6", "udp", "udp6")
        if (table := Path(f"/proc/{pid}/net/{kind}")).exists()
        for row in table.read_text().splitlines()[1:]
    ]
    return [
        row[1]
        for row in rows
        if row[9] in inodes and not row[1].endswith(f":{port:04X}")
    ]


def test_a_service_writes_no_file_and_opens_no_socket(
    checkpoints: Path, tmp_path: Path
) -> None:
    """After the start and a request HOME is empty, and one socket was ever opened."""
    home, log = tmp_path / "home", tmp_path / "sockets"
    home.mkdir()
    # FastAPI follows these, if it is let; the service sends traces alone, if asked to.
    otlp = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9/v1/metrics",
        "OTEL_METRIC_EXPORT_INTERVAL": "10",
    }
    caches = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(home))
    settings = {
        "VAE_CHECKPOINT": str(checkpoints / "bernoulli"),
        "HOME": str(home),
        "VAE_BACKEND": "onnx",
        "ORT_DISABLE_TELEMETRY": "",
        **caches,
        **otlp,
    }
    tracer = strace(log)

    with process(settings, command=(*tracer, *PYTHON_APP)) as (address, running):
        answer = plain_http.post(
            f"{address}/encode", json={"x": [[0.5] * 16]}, timeout=SECONDS
        )
        others = foreign_connections(running.pid, httpx.URL(address).port or 0)

    assert answer.status_code == 200
    assert others == []
    assert list(home.iterdir()) == []
    if tracer:
        assert internet_sockets(log) == ["AF_INET"]  # the one it listens on


def test_a_command_writes_no_file_and_opens_no_socket(tmp_path: Path) -> None:
    """Loaded with all libraries that they use, two commands leave HOME empty."""
    home, log = tmp_path / "home", tmp_path / "sockets"
    home.mkdir()
    tracer = strace(log)
    modules = "model.train.command, model.evaluate.command"
    code = f"import {modules}, model.engine.runtime as r; r.SessionOptions()"
    # matplotlib keeps the list of this machine's fonts, and says so.
    caches = {"HOME": str(home), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}

    ended = subprocess.run(
        [*tracer, sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **caches},
        check=False,
    )

    assert ended.returncode == 0
    assert list(home.iterdir()) == []
    if tracer:
        assert internet_sockets(log) == []
