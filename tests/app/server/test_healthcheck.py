"""The health check of containers asks where the service listens."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from app.server import healthcheck
from app.server.healthcheck import connection

NONE: dict[str, str] = {}
IMAGE = ["python", "/opt/venv/bin/vae-serve"]


@pytest.mark.parametrize(
    ("arguments", "environ", "where"),
    [
        ([], NONE, ("127.0.0.1", 8000)),
        ([], {"VAE_HOST": "0.0.0.0", "VAE_PORT": "9000"}, ("127.0.0.1", 9000)),
        ([], {"VAE_HOST": "::", "VAE_PORT": ""}, ("::1", 8000)),
        ([], {"VAE_HOST": "[::1]"}, ("::1", 8000)),
        ([], {"VAE_HOST": "10.1.2.3"}, ("10.1.2.3", 8000)),
        (["/model", "--port", "9000"], {"VAE_PORT": "1"}, ("127.0.0.1", 9000)),
        (["--host=10.1.2.3", "--port=9000"], NONE, ("10.1.2.3", 9000)),
    ],
)
def test_options_override_variables(
    arguments: list[str], environ: dict[str, str], where: tuple[str, int]
) -> None:
    """`docker run IMAGE /model --port 9000` is checked on port 9000."""
    asked = connection([*IMAGE, *arguments], environ)

    assert (asked.host, asked.port) == where


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_status_is_that_of_readyz(
    monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    """A proxy variable is not obeyed."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("VAE_PORT", str(server.server_port))
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setattr(healthcheck, "_COMMAND_LINE", Path("/dev/null"))
        assert healthcheck.main() == code
    assert asked == ["/readyz"]


def test_a_service_that_is_not_there_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, no traceback."""
    monkeypatch.setenv("VAE_PORT", "1")
    monkeypatch.setattr(healthcheck, "_COMMAND_LINE", Path("/dev/null"))

    assert healthcheck.main() == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_it_imports_only_the_standard_library() -> None:
    """It runs every few seconds, for as long as the container."""
    program = (
        "import sys, app.server.healthcheck; "
        "own = {*sys.stdlib_module_names, 'app', '__main__', 'sitecustomize'}; "
        "print(sorted(m for m in sys.modules "
        "if m.split('.')[0] not in own and not m.startswith('_')))"
    )

    ended = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = ['.']; {program}"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ended.stdout == "[]\n"
