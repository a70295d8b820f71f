"""What a process does before it serves."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.processes import ROOT, SECONDS, environment

CLOSED = "<&- >&- 2>&-"
PROGRAM = """
import os
import sys
from app.__main__ import open_standard_streams  # with all that the command imports

assert "ctypes" not in sys.modules  # with it libffi may have opened a file
open_standard_streams()
opened = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
print("a line of the log")
os.write(opened, str(opened).encode())
"""

pytestmark = pytest.mark.slow("starts a process")


def run(redirection: str, *arguments: str, **settings: str) -> int:
    """Run Python as a shell redirects its streams; return its exit status."""
    command = f'exec "$0" "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", command, sys.executable, *arguments],
        cwd=ROOT,
        env=environment(settings),
        timeout=SECONDS,
        check=False,
    ).returncode


@pytest.mark.parametrize("redirection", [CLOSED, ">&-", "2>&-"])
def test_no_file_gets_the_number_of_a_closed_stream(
    redirection: str, tmp_path: Path
) -> None:
    """What is printed is lost, and not written to a file or a socket."""
    path = tmp_path / "file"

    assert run(redirection, "-c", PROGRAM, str(path)) == 0
    assert path.read_text() == "3"


def test_a_start_fails_as_ever_without_its_streams() -> None:
    """With status 3, as if the reason could be read."""
    assert run(CLOSED, "-m", "app", VAE_CHECKPIONT="x") == 3
