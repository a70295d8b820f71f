"""Reading takes 8 MiB besides the body and what is decoded, whatever the body is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.wire import growth
from tests.warm_start import WarmPopen

ROOT = Path(__file__).parents[3]
MAX_BYTES = 8 << 20
SECONDS = 300


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, Any]]:
    """Read every body, each in a process of its own."""
    command = [sys.executable, "-m", "tests.app.wire.growth"]
    with WarmPopen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as measuring:
        printed, _ = measuring.communicate(timeout=SECONDS)
    assert measuring.returncode == 0
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
