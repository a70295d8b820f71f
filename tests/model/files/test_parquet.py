"""Tables of Parquet and Arrow: as pyarrow writes them, refused by row and column."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.files import DataError, ReadOptions, read

COLUMNS: dict[str, list[Any]] = {
    "a": [1.5, 2.5, -3.0],
    "b": [1, 2, 2],
    "c": [True, False, True],
    "d": [Decimal("1.25"), Decimal("2.50"), Decimal("3.75")],
    "species": ["rose", "aster", "rose"],
}


def write(path: Path, **columns: Any) -> Path:
    """Write a table in the format that the name of the file says."""
    arrow = pytest.importorskip("pyarrow")
    ipc, parquet = pytest.importorskip("pyarrow.ipc"), None
    table = arrow.table(columns)
    if path.suffix in (".parquet", ".pq"):
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(table, path)
        return path
    new = ipc.new_file if path.suffix == ".feather" else ipc.new_stream
    with new(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".pq", ".arrow", ".feather"])
def test_numbers_truth_values_and_decimals_are_read(
    tmp_path: Path, suffix: str
) -> None:
    """With texts as labels; files and streams of Arrow are told apart by content."""
    path = write(tmp_path / f"t{suffix}", **COLUMNS)

    contents = read(path, ReadOptions(label="species"))

    expected = [[1.5, 1, 1, 1.25], [2.5, 2, 0, 2.5], [-3, 2, 1, 3.75]]
    np.testing.assert_array_equal(contents.rows.values, expected)
    assert contents.rows.origin.columns == ("a", "b", "c", "d")
    assert contents.rows.labels is not None
    assert contents.rows.labels.tolist() == [1, 0, 1]


def test_columns_are_chosen_as_in_text(tmp_path: Path) -> None:
    """By name, by number, and by those of a model."""
    path = write(tmp_path / "t.parquet", **COLUMNS)

    chosen = read(path, ReadOptions(columns=("b", "1")))
    wanted = read(path, wanted=("c", "a"))

    assert chosen.rows.origin.columns == ("b", "a")
    assert wanted.rows.values.tolist() == [[1, 1.5], [0, 2.5], [1, -3]]


@pytest.mark.parametrize(
    ("column", "error"),
    [
        ([1.5, None], "row 1 of t.parquet, column 'x' holds a missing value"),
        ([1.5, float("nan")], "row 1 of t.parquet, column 'x' holds nan"),
        ([float("inf"), 1.5], "row 0 of t.parquet, column 'x' holds inf"),
        (["a", "b"], "column 'x' of t.parquet holds string, expected numbers"),
        (["a", "b"], "--label x takes it as labels"),
        ([1, None], "--drop x leaves the column out"),
    ],
)
def test_what_is_no_number_is_refused(
    tmp_path: Path, column: list[Any], error: str
) -> None:
    """With row, column, and the option that would help."""
    path = write(tmp_path / "t.parquet", a=[1.0, 2.0], x=column)

    with pytest.raises(DataError) as caught:
        read(path)

    assert error in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"hello world"])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_files_of_other_kinds_are_refused(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    """The error names the file."""
    pytest.importorskip("pyarrow")
    (tmp_path / f"t{suffix}").write_bytes(content)

    with pytest.raises(DataError, match=r"t\.\w+ cannot be read"):
        read(tmp_path / f"t{suffix}")


def test_options_for_text_are_refused(tmp_path: Path) -> None:
    """They would be ignored."""
    (tmp_path / "t.parquet").write_bytes(b"")

    with pytest.raises(DataError, match="--sep is for tables in text"):
        read(tmp_path / "t.parquet", ReadOptions(sep=";"))


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"")

    with pytest.raises(DataError, match=r"pyarrow, from the extra `parquet`: pip"):
        read(tmp_path / "t.parquet")
