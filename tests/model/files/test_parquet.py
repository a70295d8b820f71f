"""Tables of Parquet and Arrow: as pyarrow writes them, refused by row and column."""

import csv
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import data
from model.data import mixed
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
    """With texts as labels; files and streams of Arrow are distinguished by content."""
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


WORDS = ["rose, red", 'the "aster"', "elder", None, "rose, red", "NA"]
MIXED: dict[str, list[Any]] = {
    "word": WORDS * 5,
    "flag": [True, False, None, True, True, False] * 5,
    "whole": [1, 2, None, 3, 1, None] * 5,
    "real": [0.25 * i if i % 7 else None for i in range(30)],
    "exact": [None if i % 9 == 3 else Decimal(i) / 8 for i in range(30)],
    "day": [date(2026, 1, 1 + i % 3) for i in range(30)],
    "nothing": [None] * 30,
    "label": ["a", "b", "a"] * 10,
}


def as_text(path: Path, columns: dict[str, list[Any]]) -> Path:
    """Write a table as CSV, an empty cell for nothing."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_mixed_cells_are_those_of_the_same_table_in_text(
    tmp_path: Path, suffix: str
) -> None:
    """Columns, codes and labels; a row without a value is none, as in text."""
    table = {name: [*cells[:7], None, *cells[7:]] for name, cells in MIXED.items()}
    path = write(tmp_path / f"t{suffix}", **table)
    reading = ReadOptions(label="label")

    wanted = mixed.read(as_text(tmp_path / "t.csv", table), reading, None)
    found = mixed.read(path, reading, None)

    assert found.table == wanted.table
    assert found.table is not None
    assert found.table.column("word").kind == "categorical"
    np.testing.assert_array_equal(found.rows.x, wanted.rows.x)
    assert found.rows.labels is not None
    assert wanted.rows.labels is not None
    assert found.rows.labels.tolist() == wanted.rows.labels.tolist()
    assert list(found.rows.rows)[6:9] == [6, 8, 9]


def test_words_of_dictionaries_and_short_floats_are_cells(tmp_path: Path) -> None:
    """As pandas writes categories, and 0.1 of float32 with one decimal."""
    arrow = pytest.importorskip("pyarrow")
    word = arrow.array(["b", "a", None, "c"] * 5).dictionary_encode()
    tenth = arrow.array([i / 10 for i in range(20)], arrow.float32())

    found = mixed.read(
        write(tmp_path / "t.parquet", word=word, tenth=tenth), ReadOptions(), None
    )

    assert found.table is not None
    assert found.table.column("word").categories == ("a", "b", "c")
    assert found.table.column("tenth").resolution == 0.1
    assert found.rows.x[:4, 0].tolist()[:2] == [1, 0]


@pytest.mark.parametrize("column", [["a", "b"] * 15, [1.5, None, 2.5] * 10])
def test_training_reads_mixed_tables_by_itself(
    tmp_path: Path, column: list[Any]
) -> None:
    """As in text: where a value is a word or missing; never where it may not be."""
    path = write(tmp_path / "t.parquet", a=list(range(30)), b=MIXED["real"], x=column)

    dataset = data.load(str(path), read_file=data.read_numbers_or_table)

    assert dataset.table is not None
    assert "x" in dataset.table.names
    with pytest.raises(DataError):
        data.load(str(path))


def test_cells_of_several_parts_are_refused(tmp_path: Path) -> None:
    """With the option that leaves the column out, which works."""
    path = write(tmp_path / "t.parquet", word=WORDS, x=[[1], [2], [3]] * 2)

    with pytest.raises(DataError, match=r"holds list.*: --drop x leaves"):
        mixed.read(path, ReadOptions(), None)
    left = mixed.read(path, ReadOptions(drop=("x",)), None)

    assert left.table is not None
    assert left.table.names == ("word",)


def test_a_cell_that_a_model_does_not_know_is_named_by_its_row(tmp_path: Path) -> None:
    """Rows of Parquet count from 0, as in NumPy."""
    known = mixed.read(write(tmp_path / "t.parquet", **MIXED), ReadOptions(), None)
    other = {**MIXED, "word": [*WORDS[:4], "weed", *WORDS[5:]] * 5}
    path = write(tmp_path / "u.parquet", **other)

    with pytest.raises(
        DataError, match=r"^row 4 of u.parquet, column 'word' holds 'weed'"
    ):
        mixed.read(path, ReadOptions(), known.table)


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


@pytest.mark.parametrize("kind", ["timestamp", "duration", "time64"])
def test_times_in_nanoseconds_are_cells(tmp_path: Path, kind: str) -> None:
    """As pandas and polars write them, whose nanoseconds Python has no types for."""
    arrow = pytest.importorskip("pyarrow")
    when = arrow.array([(1 + i) * 1_000_000_001 for i in range(6)], arrow.int64())
    when = when.cast(getattr(arrow, kind)("ns"))
    path = write(tmp_path / "t.parquet", word=WORDS, when=when)

    found = data.load(str(path), read_file=data.read_numbers_or_table)

    assert found.table is not None
    assert found.table.names == ("word",)
    assert any(note.startswith("when: left out, ") for note in found.notes)


def test_texts_of_views_are_cells(tmp_path: Path) -> None:
    """As polars writes Arrow files; also where a row is empty."""
    arrow = pytest.importorskip("pyarrow")
    word = arrow.array([*WORDS, None] * 3, arrow.string_view())
    path = write(tmp_path / "t.arrow", word=word)

    found = mixed.read(path, ReadOptions(), None)

    assert found.table is not None
    assert {*(found.table.column("word").categories or ())} == {*WORDS} - {None, "NA"}
    assert len(found.rows.x) == 3 * (len(WORDS) - 1)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_tables_without_rows_and_with_repeated_names_are_refused(
    tmp_path: Path, suffix: str
) -> None:
    """By the same words as tables in text."""
    arrow = pytest.importorskip("pyarrow")
    empty = write(tmp_path / f"e{suffix}", a=arrow.array([], arrow.float64()))
    nulls = write(tmp_path / f"n{suffix}", a=arrow.array([None, None], arrow.float64()))
    path = tmp_path / f"t{suffix}"
    table = arrow.table([[1.5, 2.5], [3.5, 4.5]], names=["a", "a"])
    if suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
    else:
        with arrow.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)

    with pytest.raises(DataError, match=r"^e\.\w+ holds no rows$"):
        read(empty)
    with pytest.raises(DataError, match=r"^n\.\w+ holds no rows with a value$"):
        mixed.read(nulls, ReadOptions(), None)
    with pytest.raises(DataError, match=r"columns \[1, 2\] of t.* the same name, 'a'"):
        read(path)
    assert read(path, ReadOptions(drop=("2",))).rows.values.tolist() == [[1.5], [2.5]]


def test_bytes_of_one_length_are_no_texts(tmp_path: Path) -> None:
    """They were taken for the texts b'..' of Python."""
    arrow = pytest.importorskip("pyarrow")
    path = write(
        tmp_path / "t.parquet", word=WORDS, x=arrow.array([b"ab"] * 6, arrow.binary(2))
    )

    with pytest.raises(DataError, match=r"holds fixed_size_binary\[2\], expected"):
        mixed.read(path, ReadOptions(), None)


@pytest.mark.parametrize("label", [[2, None, 10], ["u", None, "v"], [2.0, 10.0, 2.0]])
def test_labels_are_those_of_tables_with_and_without_words(
    tmp_path: Path, label: list[Any]
) -> None:
    """A missing label is an empty one, as in text, and not the word None."""
    n = 10
    path = write(
        tmp_path / "t.parquet", a=[1.5, 2.5, 3.5] * n, w=["p", "q"] * 15, y=label * n
    )
    alone = read(path, ReadOptions(label="y", columns=("a",)))
    words = mixed.read(path, ReadOptions(label="y"), None)

    assert alone.rows.labels is not None
    assert words.rows.labels is not None
    assert alone.rows.labels.tolist() == words.rows.labels.tolist()
    assert not any("None" in note for note in (*alone.notes, *words.notes))
    if None in label:
        assert any("0 = ''" in note for note in alone.notes)


def test_a_last_row_of_sums_is_said(tmp_path: Path) -> None:
    """As in text, by the number of the row; also where it is only called so."""
    reals = [0.5 * i for i in range(20)]
    whole = write(tmp_path / "t.parquet", a=[*reals, sum(reals)])
    named = write(tmp_path / "u.parquet", a=[*reals, 7.0], w=[*"xy" * 10, "Total"])

    alone, words = read(whole), mixed.read(named, ReadOptions(), None)

    assert any("row 20 of t.parquet, the last, holds" in n for n in alone.notes)
    assert any("row 20 of u.parquet, the last, is called" in n for n in words.notes)


def test_a_date_that_python_cannot_hold_is_refused(tmp_path: Path) -> None:
    """Such as one that stands for never; with the option that helps."""
    arrow = pytest.importorskip("pyarrow")
    never = arrow.array([10**8] * 6, arrow.int32()).cast(arrow.date32())
    path = write(tmp_path / "t.parquet", word=WORDS, until=never)

    with pytest.raises(
        DataError, match=r"'until' of .* cannot be read: .* --drop until"
    ):
        mixed.read(path, ReadOptions(), None)
