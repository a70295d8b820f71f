"""Tables of a user: read as they are, refused by file, line and value."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data import load
from model.files import Contents, DataError
from model.files.tables import read_csv


def table(path: Path, text: str) -> Contents:
    """Write a CSV file and read it back."""
    (path / "t.csv").write_bytes(text.encode())
    return read_csv(path / "t.csv")


@given(
    st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([(), ("a", "b")]),
)
def test_a_table_is_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[float]],
    header: tuple[str, ...],
) -> None:
    """Every number survives the way through a CSV file, with or without a header."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows] if header else rows)

    contents = table(tmp_path_factory.mktemp("table"), text.getvalue())

    np.testing.assert_array_equal(contents.rows.values, np.array(rows))
    assert contents.rows.origin.columns == header


def test_rows_of_a_table_are_numbered_by_line(tmp_path: Path) -> None:
    """The header and empty lines count, as in an editor."""
    contents = table(tmp_path, '\ufeff"a, 1",b\r\n1, 2\r\n\r\n"3",4\r\n')

    assert contents.rows.numbers.tolist() == [2, 4]
    assert contents.rows.origin.columns == ("a, 1", "b")
    np.testing.assert_array_equal(contents.rows.values, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a,b\n1,2\n3,x\n", "line 3 of t.csv, column 'b' holds 'x'"),
        ("1,2\n3,\n", "line 2 of t.csv, column 2 holds ''"),
        ("1,2\n3,1_000\n", "line 2 of t.csv, column 2 holds '1_000'"),
        ("1,b\n3,4\n", "line 1 of t.csv, column 2 holds 'b'"),
        ("a;b\n1;2\n", "line 2 of t.csv, column 'a;b' holds '1;2'"),
        ("a,b\n1,2\n3,nan\n", "line 3 of t.csv, column 'b' holds nan"),
        ("1,2\n1e999,4\n", "line 2 of t.csv, column 1 holds inf"),
        ("a,b\n1,2\n3\n", "line 3 of t.csv has 1 cells, expected 2"),
        (",a\n0,2\n", "the header of t.csv has no name for column 1"),
        ("", "t.csv holds no rows"),
        ("\n\n", "t.csv holds no rows"),
        ("a,b\n", "t.csv holds no rows"),
        ('1,"2\n', "t.csv cannot be read: unexpected end of data"),
    ],
)
def test_a_bad_table_is_refused_by_line_and_column(
    tmp_path: Path, text: str, error: str
) -> None:
    """The error names file, line, column and value."""
    (tmp_path / "t.csv").write_bytes(text.encode())

    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "t.csv"))

    assert error in str(caught.value)


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are an error that names the file."""
    (tmp_path / "t.csv").write_bytes(b"1,2\n\xff,3\n")

    with pytest.raises(DataError, match=r"t.csv cannot be read.*utf-8"):
        read_csv(tmp_path / "t.csv")


def test_a_long_cell_is_not_echoed_whole(tmp_path: Path) -> None:
    """The error stays short however bad the cell."""
    with pytest.raises(DataError) as caught:
        table(tmp_path, "1,2\n3," + 10_000 * "x")

    assert len(str(caught.value)) < 200
