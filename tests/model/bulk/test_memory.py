"""Memory does not grow with the number of rows, read or written."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import save_tiny, tiny_config, tiny_vae

ROOT = Path(__file__).parents[3]
SECONDS = 120
FEW, MANY = 5_000, 300_000  # rows
GROWTH_MIB = 64  # the files of the many rows have four times that
PROGRAM = """
import sys
from pathlib import Path
from model.bulk.__main__ import main
status = main(sys.argv[1:])
print(Path("/proc/self/status").read_text())
sys.exit(status)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model of rows as wide as those of MNIST."""
    config = tiny_config("continuous_bernoulli", data_shape=(28, 28))
    return save_tiny(tmp_path / "model", tiny_vae(config))


def peak_mib(*words: object) -> float:
    """Run a command in a process of its own; return the most memory it had."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words), "--threads", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    [peak] = re.findall(r"VmHWM:\s*(\d+) kB", ended.stdout)
    return float(peak) / 1024


@pytest.mark.slow("reads and writes files of 230 MB in four processes")
def test_memory_is_flat(model: Path, tmp_path: Path) -> None:
    """Pages of files that were read or written count too."""
    peaks: dict[str, list[float]] = {"encode": [], "sample": []}

    for n in (FEW, MANY):
        x = np.lib.format.open_memmap(
            tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(n, 784)
        )
        x[0] = 200
        out = ("--out", tmp_path / "o.npy")
        peaks["encode"].append(peak_mib("encode", model, tmp_path / "x.npy", *out))
        peaks["sample"].append(peak_mib("sample", model, "--n", n // 4, *out))

    for few, many in peaks.values():
        assert many - few < GROWTH_MIB
