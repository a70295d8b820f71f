"""Data larger than memory: memory-mapped, converted block by block, the same bits."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model import data
from model.data import blocks
from model.data.preparation import Prepared, prepare
from model.distributions import Bernoulli, Gaussian, Likelihood
from model.files import scratch

ROOT = Path(__file__).parents[3]
MIB = 1 << 20

# A process for each case, forked by one that has imported what they need.
GROWTH = """
import os, sys
from model import data
from model.data.preparation import prepare
from model.likelihoods import LIKELIHOODS
from model.files import scratch

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(l.split()[1]) for l in lines if l.startswith("RssAnon")) * 1024

def work(path, likelihood):
    return prepare(data.load(path), likelihood=LIKELIHOODS[likelihood], how=None,
                   standardize=likelihood == "gaussian", seed=0)

scratch.limit = lambda: 1 << 18
for line in sys.stdin:
    small, large, likelihood = line.split()
    if os.fork() == 0:
        work(small, likelihood)
        before = anonymous()
        prepared = work(large, likelihood)
        print(anonymous() - before, prepared.train.nbytes, flush=True)
        os._exit(0)
    sys.exit(1) if os.wait()[1] else None
"""


def prepared(path: Path, likelihood: type[Likelihood]) -> Prepared:
    """Load and prepare a file."""
    return prepare(
        data.load(str(path)),
        likelihood=likelihood,
        how="static" if likelihood is Bernoulli else None,
        standardize=likelihood is Gaussian,
        seed=3,
    )


def arrays(found: Prepared) -> list[NDArray[Any]]:
    """Return the rows of all splits."""
    return [found.train, found.validation, found.test]


@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", ">f8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_and_files_give_the_bits_of_memory(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    likelihood: type[Likelihood],
    dtype: str,
    order: Any,
) -> None:
    """However small a block, and wherever rows are kept."""
    draw = np.random.default_rng(0)
    x = draw.random((50, 4, 3)) * (255 if dtype == "u1" else 1)
    np.save(tmp_path / "x.npy", np.asarray(x, dtype=dtype, order=order))
    wanted = prepared(tmp_path / "x.npy", likelihood)

    monkeypatch.setattr(scratch, "limit", lambda: 10)
    monkeypatch.setattr(blocks, "_VALUES", 50)
    found = prepared(tmp_path / "x.npy", likelihood)

    for one, other in zip(arrays(found), arrays(wanted), strict=True):
        np.testing.assert_array_equal(one, other)
        assert isinstance(one, np.memmap)
        assert not isinstance(other, np.memmap)


@pytest.mark.parametrize("row", [0, 17, 49])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5])
def test_a_bad_value_is_found_in_any_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int, value: float
) -> None:
    """With its place in the file."""
    monkeypatch.setattr(blocks, "_VALUES", 30)
    x = np.full((50, 2, 3), 0.5)
    x[row, 1, 2] = value
    np.save(tmp_path / "x.npy", x)

    with pytest.raises(
        data.DataError, match=rf"^row {row} of x.npy, position \[1, 2\]"
    ):
        prepared(tmp_path / "x.npy", Bernoulli)


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Have what measures each case in a process of its own."""
    folder = str(tmp_path_factory.mktemp("scratch"))
    with subprocess.Popen(
        [sys.executable, "-c", GROWTH],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": folder, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        yield running


@pytest.fixture(scope="module", params=[".npy", ".npz", ""])
def files(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Write a few pictures and many, in arrays or in a folder."""
    kind, folder = request.param, tmp_path_factory.mktemp("files")
    paths = []
    for name, n in (("small", 300), ("large", 700 if kind == "" else 24_000)):
        side = 32 if kind else 192
        draw = np.random.default_rng(0)
        x = draw.integers(0, 256, (n, side, side), dtype=np.uint8)
        path = folder / f"{name}{kind}"
        if kind == ".npy":
            np.save(path, x)
        elif kind == ".npz":
            np.savez(path, x=x)
        else:
            path.mkdir()
            for i, pixels in enumerate(x):
                Image.fromarray(pixels).save(path / f"{i:04}.bmp")
        paths.append(str(path))
    return paths


@pytest.mark.slow("reads files of 24 MB in six processes")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_large_data_need_little_memory(
    forks: subprocess.Popen[str], files: list[str], likelihood: str
) -> None:
    """Training rows of 60 MiB and more grow memory by less than 40 MiB, cache apart."""
    assert forks.stdin is not None
    assert forks.stdout is not None

    forks.stdin.write(" ".join([*files, likelihood]) + "\n")
    forks.stdin.flush()
    found = forks.stdout.readline()

    growth, size = map(int, found.split())
    assert size > 60 * MIB
    assert growth < 40 * MIB
