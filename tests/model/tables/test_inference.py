"""The kinds of columns follow from their cells, each with its reason."""

from pathlib import Path

import numpy as np
import pytest

from model.files import read_mixed
from model.tables.inference import ColumnsError, UnknownCellError, codes_of, infer
from model.tables.schema import TableColumn
from tests.model.tables.tables import levels, number

ROWS = 30


def table(path: Path, **columns: list[object]) -> Path:
    """Write a CSV of columns."""
    lines = [",".join(columns)]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def column(tmp_path: Path, cells: list[object], name: str = "x") -> TableColumn | str:
    """Return what a column of these cells becomes, or why it is left out."""
    other = (i % 3 for i in range(len(cells)))
    columns: dict[str, list[object]] = {name: cells, "other": [*other]}
    path = table(tmp_path / "t.csv", **columns)
    schema = infer(read_mixed(path).columns)
    return schema.columns[0] if len(schema.columns) == 2 else schema.left_out[0].why


def repeated(*cells: object) -> list[object]:
    """Return the cells over and over."""
    return [cells[i % len(cells)] for i in range(ROWS)]


@pytest.mark.parametrize(
    ("cells", "kind", "categories"),
    [
        (repeated("TRUE", "FALSE"), "binary", (False, True)),
        (repeated("yes", "no", ""), "binary", ("no", "yes")),
        (repeated(3, 7), "binary", (3, 7)),
        (repeated(0.5, 1), "binary", (0.5, 1)),
        (repeated("b", "a", "c", "NA"), "categorical", ("a", "b", "c")),
        (
            repeated("Jan-2018", "Feb-2018", "Mar-2018"),
            "categorical",
            ("Feb-2018", "Jan-2018", "Mar-2018"),
        ),
        (repeated(1, 2, 3, "?"), "categorical", (1, 2, 3)),
        (repeated("3.0", "1", "2"), "categorical", (1, 2, 3)),
        (repeated(1, 2, "many"), "categorical", ("1", "2", "many")),
    ],
)
def test_few_values_are_categories(
    tmp_path: Path, cells: list[object], kind: str, categories: tuple[object, ...]
) -> None:
    """Two are binary; texts, and up to twelve whole numbers, are categorical."""
    found = column(tmp_path, cells)

    assert isinstance(found, TableColumn)
    assert (found.kind, found.categories) == (kind, categories)
    assert found.why


@pytest.mark.parametrize(
    ("cells", "resolution"),
    [
        ([i * i % 29 for i in range(ROWS)], 1),
        ([f"{i % 13}.0" for i in range(ROWS)], 1),
        ([i * 7 % 20 / 10 for i in range(ROWS)], 0.1),
        ([f"{i % 17}e-3" for i in range(ROWS)], 0.001),
        ([0.1 * (i % 17) + 1e4 for i in range(ROWS)], 0.1),
        ([f"{i % 17 + 2**0.5 * 1e9:.16g}" for i in range(ROWS)], 1e-3),
    ],
)
def test_other_numbers_have_the_resolution_of_their_decimals(
    tmp_path: Path, cells: list[object], resolution: float
) -> None:
    """But no finer than float64 can tell apart."""
    found = column(tmp_path, cells)

    assert isinstance(found, TableColumn)
    assert (found.kind, found.resolution) == ("numeric", resolution)


@pytest.mark.parametrize("gap", ["N.A.", "-", "n.d.", "#DIV/0!", "unknown", "None"])
def test_words_for_nothing_among_numbers_are_missing(tmp_path: Path, gap: str) -> None:
    """The column is of numbers, and says so; a request may have the words too."""
    cells: list[object] = [gap if i % 5 == 0 else i * 7 % 20 / 10 for i in range(ROWS)]

    found = column(tmp_path, cells)

    assert isinstance(found, TableColumn)
    assert (found.kind, found.resolution) == ("numeric", 0.1)
    assert found.why.endswith(f"missing in {gap!r}")
    raw, _ = read_mixed(tmp_path / "t.csv").columns
    assert np.isnan(codes_of(raw, found)).sum() == ROWS / 5
    assert np.isnan(found.code(gap, unseen=False) or 0)


@pytest.mark.parametrize("word", ["<0.5", "l2.5", "three", "inf"])
def test_other_words_among_numbers_are_refused(tmp_path: Path, word: str) -> None:
    """Numbers as categories would be no numbers; the error has the cell and its row."""
    cells: list[object] = [word if i == 17 else i * 7 % 20 / 10 for i in range(ROWS)]

    with pytest.raises(
        UnknownCellError, match="29 of its 30 values are num"
    ) as refused:
        column(tmp_path, cells)

    assert refused.value.row == 17
    assert f"column 'x' holds {word!r}" in str(refused.value)
    assert "--drop x" in str(refused.value)


def test_numbers_in_two_units_are_none_of_a_column_of_numbers(tmp_path: Path) -> None:
    """What is refused names both units, so that the right cell is found."""
    path = tmp_path / "t.csv"
    path.write_text("x,y\n82 kg,a\n82000 g,b\n")
    raw, _ = read_mixed(path).columns

    with pytest.raises(UnknownCellError, match="got some in 'kg' and some in 'g'"):
        codes_of(raw, TableColumn(name="x", kind="numeric", resolution=1.0))

    assert raw.unit == ""


@pytest.mark.parametrize(
    "cells",
    [
        repeated("1.5", "2.5", "low", "high", "medium"),
        repeated("True", "true", "FALSE", "f"),
        repeated("3", "3.0", "many", "few", "none"),
    ],
)
def test_texts_with_numbers_or_truth_values_among_them_have_codes(
    tmp_path: Path, cells: list[object]
) -> None:
    """Each text is a category as it stands."""
    found = column(tmp_path, cells)

    assert isinstance(found, TableColumn)
    assert set(found.categories or ()) == set(cells)
    raw, _ = read_mixed(tmp_path / "t.csv").columns
    categories = found.categories or ()
    assert [categories[int(code)] for code in codes_of(raw, found)] == cells


def test_words_that_differ_in_case_alone_are_said(tmp_path: Path) -> None:
    """They are two categories, most often by mistake."""
    found = column(tmp_path, repeated("Yes", "no", "yes"))

    assert isinstance(found, TableColumn)
    assert "'Yes' and 'yes' differ in case alone" in found.why


def test_a_model_of_texts_reads_numbers_with_a_unit_as_its_texts(
    tmp_path: Path,
) -> None:
    """A file may have fewer of its categories than that of the training."""
    path = table(tmp_path / "t.csv", c=["12a", "12a"], d=[1, 2])
    raw, _ = read_mixed(path).columns

    assert codes_of(raw, levels("c", "categorical", "12a", "12b")).tolist() == [0, 0]
    assert codes_of(raw, levels("c", "categorical", 11, 12)).tolist() == [1, 1]
    assert codes_of(raw, number("c")).tolist() == [12, 12]


@pytest.mark.parametrize(
    ("cells", "name", "why"),
    [
        (list(range(ROWS)), "x", "30 whole numbers look like an identifier"),
        ([i * 7 % 101 for i in range(ROWS)], "row_id", "look like an identifier"),
        ([f"name {i}" for i in range(ROWS)], "x", "its 30 texts are all different"),
        (repeated(4), "x", "all its values are 4"),
        (repeated("a", ""), "x", "all its values are 'a'"),
        (repeated("", "NA", "?"), "x", "it has no values"),
        ([f"t{i % 250}" for i in range(500)], "x", "250 values, more than 200"),
        ([f"2024-01-{i % 19 + 1:02}" for i in range(ROWS)], "x", "dates or times"),
        ([f"t{i % 2000}" for i in range(4000)], "x", "too many values"),
    ],
)
def test_what_cannot_be_modeled_is_left_out(
    tmp_path: Path, cells: list[object], name: str, why: str
) -> None:
    """With a line that says why."""
    found = column(tmp_path, cells, name)

    assert isinstance(found, str)
    assert why in found


def test_a_table_of_nothing_is_refused(tmp_path: Path) -> None:
    """The error says why each column was left out."""
    path = table(tmp_path / "t.csv", a=repeated(1), b=repeated("x"))

    with pytest.raises(ColumnsError, match="a: all its values are 1; b: all"):
        infer(read_mixed(path).columns)


def test_cells_become_codes(tmp_path: Path) -> None:
    """Those of the schema's columns, NaN where missing, in any spelling."""
    path = table(
        tmp_path / "t.csv",
        n=["1.5", "", "1e1"],
        c=["b", "a", "?"],
        f=["true", "FALSE", "True"],
        k=["2", "1.0", "NA"],
    )
    n, c, f, k = read_mixed(path).columns

    assert codes_of(n, number("n")).tolist()[::2] == [1.5, 10]
    assert codes_of(c, levels("c", "categorical", "a", "b"))[:2].tolist() == [1, 0]
    assert codes_of(f, levels("f", "binary", False, True)).tolist() == [1, 0, 1]
    assert codes_of(k, levels("k", "categorical", 1, 2))[:2].tolist() == [1, 0]
    assert np.isnan(codes_of(n, number("n"))[1])
    assert np.isnan(codes_of(c, levels("c", "categorical", "a", "b"))[2])


def test_a_cell_of_another_kind_is_refused(tmp_path: Path) -> None:
    """The error has its row."""
    path = table(tmp_path / "t.csv", c=["a", "", "z"], d=[1, 2, 3])
    raw, _ = read_mixed(path).columns

    with pytest.raises(UnknownCellError, match="'z', expected one of its") as refused:
        codes_of(raw, levels("c", "categorical", "a", "b"))
    assert refused.value.row == 2
    assert str(refused.value).endswith("categories; the model knows 'a', 'b'")
    with pytest.raises(UnknownCellError, match=r"'a', .*; did you mean 'A'\?$"):
        codes_of(raw, levels("c", "categorical", "A", "z"))
    with pytest.raises(UnknownCellError, match="holds 'a', expected a number"):
        codes_of(raw, number("c"))
