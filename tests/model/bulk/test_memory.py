"""Memory does not grow with the number of rows, read or written."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import save_tiny, tiny_config, tiny_vae

ROOT = Path(__file__).parents[3]
FEW, MANY = 5_000, 150_000  # rows
GROWTH_MIB = 48  # the files of the many rows have more than twice that
# A process for each command, forked by one that has imported what it needs.
PROGRAM = """
import os, sys
from pathlib import Path
from model.bulk.command import main
for line in sys.stdin:
    if os.fork() == 0:
        status = main(line.split("\\0")[:-1])
        os.write(1, Path("/proc/self/status").read_bytes() + b"end\\n")
        os._exit(status)
    sys.exit(1) if os.wait()[1] else None
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model of rows as wide as those of MNIST."""
    config = tiny_config("continuous_bernoulli", data_shape=(28, 28))
    return save_tiny(tmp_path / "model", tiny_vae(config))


def peak_mib(forks: subprocess.Popen[str], *words: object) -> float:
    """Run a command in a process of its own; return the most memory it had."""
    assert forks.stdin is not None
    assert forks.stdout is not None
    given = [*map(str, words), "--threads", "2"]
    forks.stdin.write("".join(f"{word}\0" for word in given) + "\n")
    forks.stdin.flush()
    status = ""
    while not status.endswith("end\n"):
        line = forks.stdout.readline()
        assert line, f"the command failed: {given}"
        status += line
    [peak] = re.findall(r"VmHWM:\s*(\d+) kB", status)
    return float(peak) / 1024


@pytest.fixture
def forks() -> Iterator[subprocess.Popen[str]]:
    """Have what forks a process for each command."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        yield running


@pytest.mark.slow("reads and writes files of 115 MB in four processes")
def test_memory_is_flat(
    model: Path, tmp_path: Path, forks: subprocess.Popen[str]
) -> None:
    """Pages of files that were read or written count too."""
    peaks: dict[str, list[float]] = {"encode": [], "sample": []}

    for n in (FEW, MANY):
        x = np.lib.format.open_memmap(
            tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(n, 784)
        )
        x[0] = 200
        out = ("--out", tmp_path / "o.npy")
        peaks["encode"].append(
            peak_mib(forks, "encode", model, tmp_path / "x.npy", *out)
        )
        peaks["sample"].append(peak_mib(forks, "sample", model, "--n", n // 4, *out))

    for few, many in peaks.values():
        assert many - few < GROWTH_MIB
