"""Copies need neither torch nor, for directories, fsspec."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("model.remote.copies", ("torch", "fsspec")),
        ("app.settings, app.server.run", ("torch", "fsspec", "model.remote.copies")),
    ],
)
def test_a_start_imports_only_what_it_needs(
    modules: str, absent: tuple[str, ...]
) -> None:
    """Torch takes seconds, and the parent of several workers never needs it."""
    program = f"import sys, {modules}; print(*sys.modules)"

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert not set(absent) & set(ended.stdout.split())
