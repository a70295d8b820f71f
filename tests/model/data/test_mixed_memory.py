"""A table of mixed columns is read a block of rows at a time."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from model import data

MIB = 1 << 20
N_COLUMNS = 6


def write(path: Path, n: int) -> str:
    """Write n rows of numbers, words and gaps."""
    draw = np.random.default_rng(0)
    numbers = draw.normal(50, 10, (n, N_COLUMNS - 2)).round(1).tolist()
    words = draw.choice(["red", "green", "blue"], n).tolist()
    counts = [str(v) if v else "" for v in draw.poisson(20, n).tolist()]
    rows = zip(numbers, words, counts, strict=True)
    lines = [",".join([*map(str, row), word, count]) for row, word, count in rows]
    header = ",".join("abcdef")
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def peak_reading(file: str) -> int:
    """Return the most memory that reading a table takes, in bytes."""
    tracemalloc.start()
    data.load(file, read_file=data.read_table)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.slow("reads tables while every allocation is traced")
def test_more_rows_take_little_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays of a cell is a code of 8 bytes, not its text."""
    # Of what is looked at to recognize how a table is written, less than of the rows.
    monkeypatch.setattr("model.files.text_table._SAMPLE_CHARACTERS", 1 << 16)
    few, many = 3_000, 14_000
    peak_few = peak_reading(write(tmp_path / "few.csv", few))
    peak_many = peak_reading(write(tmp_path / "many.csv", many))

    growth = peak_many - peak_few

    assert growth < 1.5 * MIB  # the texts would take 4 MiB
