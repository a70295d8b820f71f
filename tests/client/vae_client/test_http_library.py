"""The client uses httpx, or httpx2 where httpx is not installed."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from vae_client import http_library

CLIENT = Path(__file__).parents[3] / "client"


def test_httpx_is_preferred() -> None:
    """It is used if it can be imported."""
    assert http_library.httpx is httpx


@pytest.mark.slow("starts a process")
def test_httpx2_is_used_without_httpx(tmp_path: Path) -> None:
    """A module of that name is imported, and httpx is not."""
    (tmp_path / "httpx2.py").write_text("")
    program = (
        "import sys\n"
        "from importlib import machinery\n"
        "find = machinery.PathFinder.find_spec\n"
        "def hide(name, *rest):\n"
        "    return None if name == 'httpx' else find(name, *rest)\n"
        "machinery.PathFinder.find_spec = hide\n"
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(CLIENT / 'vae_client')!r}]\n"
        "import http_library\n"
        "print(http_library.httpx.__name__, 'httpx' in sys.modules)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ended.stdout == "httpx2 False\n"
