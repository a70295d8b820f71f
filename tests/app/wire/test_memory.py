"""Reading takes 8 MiB besides the body and what is decoded, whatever the body is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.wire import growth

ROOT = Path(__file__).parents[3]
MAX_BYTES = 8 << 20
SECONDS = 300


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, Any]]:
    """Read every body, each in a process of its own."""
    printed = subprocess.run(
        [sys.executable, "-m", "tests.app.wire.growth"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=SECONDS,
    ).stdout
    lines = [json.loads(line) for line in printed.splitlines()]
    return {line["name"]: line for line in lines}


@pytest.mark.slow("measures memory in processes of their own")
@pytest.mark.parametrize("name", [case.name for case in growth.cases()])
def test_reading_takes_no_more_than_it_decodes(
    measured: dict[str, dict[str, Any]], name: str
) -> None:
    """Millions of parts, and parts of any length, are refused or read in pieces."""
    one = measured[name]

    above = (one["grown"] - one["allowed"]) / (1 << 20)

    assert above < MAX_BYTES >> 20, one
    assert one["outcome"] in {"read", "images", "413", "422"}
