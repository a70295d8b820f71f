"""Tables of a user: read as they are, refused by file, line and value."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.files import Contents, DataError, ReadOptions, read, text_table
from tests.unhurried import UNHURRIED

X = [[1.5, -2.25], [0.125, 1234.5]]


def table(
    path: Path,
    text: str,
    options: ReadOptions | None = None,
    *,
    wanted: tuple[str, ...] = (),
    name: str = "t.csv",
    encoding: str = "utf-8",
) -> Contents:
    """Write a text and read it back."""
    (path / name).write_bytes(text.encode(encoding))
    return read(path / name, options, wanted)


def values(contents: Contents) -> list[list[float]]:
    """Return the rows as lists."""
    found: list[list[float]] = contents.rows.values.tolist()
    return found


@pytest.mark.slow("tries many tables")
@UNHURRIED
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


@pytest.mark.parametrize("sep", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("header", [(), ("a", "b")])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_separators_decimal_marks_and_headers_are_recognized(
    tmp_path: Path, sep: str, decimal: str, header: tuple[str, ...], ends: str
) -> None:
    """The same numbers come from every way to write them, and it is said how."""
    text = io.StringIO()
    rows = [[str(value).replace(".", decimal) for value in row] for row in X]
    writer = csv.writer(text, delimiter=sep, lineterminator=ends)
    writer.writerows([header, *rows] if header else rows)

    contents = table(tmp_path, text.getvalue())

    assert values(contents) == X
    assert contents.rows.origin.columns == header
    assert ("with a decimal comma" in contents.notes[0]) == (decimal == ",")
    assert ("with a header" in contents.notes[0]) == bool(header)


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", ""),
        ("utf-8", "\ufeff"),
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("utf-16-be", ""),
        ("utf-16-le", "\ufeff"),
        ("utf-16-be", "\ufeff"),
        ("utf-32", ""),
        ("cp1252", ""),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_encodings_are_recognized(
    tmp_path: Path, encoding: str, mark: str, zipped: bool
) -> None:
    """With and without a byte order mark, plain and gzip, by content and not name."""
    content = f"{mark}größe,masse\n1.5,-2.25\n0.125,1234.5\n".encode(encoding)
    path = tmp_path / ("t.csv.gz" if zipped else "t.csv")
    path.write_bytes(gzip.compress(content) if zipped else content)

    contents = read(path)

    assert values(contents) == X
    assert contents.rows.origin.columns == ("größe", "masse")
    assert contents.name == "t"
    assert any("Windows-1252" in note for note in contents.notes) == (
        encoding == "cp1252"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n"1,234.5",2\n"12,345,678",3\n', [[1234.5, 2], [12345678, 3]]),
        ("a;b\n1.234,5;2\n12.345.678;3\n", [[1234.5, 2], [12345678, 3]]),
        ("a;b\n1 234,5;2\n1\u202f000;3\n", [[1234.5, 2], [1000, 3]]),
        ("a;b\n1'234.5;2\n7;3\n", [[1234.5, 2], [7, 3]]),
        ("a,b\n.5,5.\n+1e-3,-1E5\n", [[0.5, 5], [1e-3, -1e5]]),
        ("a;b\n,5;5,\n+1e-3;-1E5\n", [[0.5, 5], [1e-3, -1e5]]),
        ("a,b\nTRUE,1\nFALSE,2\n", [[1, 1], [0, 2]]),
        ("a,b\nTrue,1\nFalse,2\n", [[1, 1], [0, 2]]),
        ('"a","b"\n"1","2"\n', [[1, 2]]),
        ("a , b\n 1 , 2 \n", [[1, 2]]),
        ("a;b\n0.123;1.234\n", [[0.123, 1.234]]),
        ("a,b\n$1.50,5%\n$2,7.5%\n", [[1.5, 5], [2, 7.5]]),
        ("a;b\n1.234,50 €;5,5 %\n2 €;7 %\n", [[1234.5, 5.5], [2, 7]]),
        ("a,b\n5 mm,1 kg\n6 mm,2 kg\n", [[5, 1], [6, 2]]),
        ("a,b\n\u22125,1\u2019234\n(7),2\n", [[-5, 1234], [-7, 2]]),
    ],
)
def test_numbers_are_read_as_people_write_them(
    tmp_path: Path, text: str, expected: list[list[float]]
) -> None:
    """Separators of thousands, truth values, quotes and spaces."""
    contents = table(tmp_path, text)

    assert values(contents) == expected
    assert contents.rows.origin.columns == ("a", "b")


@pytest.mark.parametrize(
    ("text", "decimal", "expected"),
    [
        ('a,b\n"1,234",2\n', None, 1234),
        ('a,b\n"1,234",2\n', ",", 1.234),
        ("a;b\n1,234;2\n", None, 1.234),
        ("a;b\n1,234;2\n", ".", 1234),
        ("a\tb\n1,234\t2\n", ",", 1.234),
        ("a\tb\n1,234\t2\n", ".", 1234),
        ("a;b\n1.234;2\n", None, 1.234),
        ("a;b\n1.234;2\n", ",", 1234),
        ("a\tb\n1.234\t2\n", None, 1.234),
    ],
)
def test_a_number_of_two_readings_is_read_by_the_separator_or_the_option(
    tmp_path: Path, text: str, decimal: str | None, expected: float
) -> None:
    """1,234 between semicolons has a decimal comma; the option has the last word."""
    options = ReadOptions(decimal=decimal)  # type: ignore[arg-type]

    contents = table(tmp_path, text, options)

    assert values(contents) == [[expected, 2]]
    assert any("--decimal" in note for note in contents.notes) == (decimal is None)


@pytest.mark.parametrize("text", ["a;b\n0.123;1.234\n", "a,b\n1.234,2\n"])
def test_a_decimal_point_that_nothing_speaks_against_is_not_said(
    tmp_path: Path, text: str
) -> None:
    """0.123 has no separator of thousands, and between commas 1.234 has none."""
    contents = table(tmp_path, text)

    assert not any("--decimal" in note for note in contents.notes)


def test_a_number_of_two_readings_is_asked_about_where_nothing_helps(
    tmp_path: Path,
) -> None:
    """In a file of tabs, 1,234 can be both."""
    with pytest.raises(DataError, match=r"'1,234' of t.csv can be .* --decimal , or"):
        table(tmp_path, "a\tb\n1,234\t2\n")


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_line_of_excel_says_the_separator(tmp_path: Path, quote: str) -> None:
    """`sep=;` is no row, and it has the last word on what separates."""
    contents = table(tmp_path, f"{quote}sep=;{quote}\r\na;b\r\n1,5;2,5\r\n")

    assert values(contents) == [[1.5, 2.5]]
    assert list(contents.rows.numbers) == [3]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("0,1,2,3\n5.1,3.5,1.4,0.2\n4.9,3.0,1.4,0.2\n", ("0", "1", "2", "3")),
        ("1,2,3\n5.1,3.5,1.4\n4.9,3.0,1.4\n", ("1", "2", "3")),
        (",0,1\n0,5.1,3.5\n1,4.9,3.0\n", ("0", "1")),
        (",2019,2020\n0,5,3\n1,4,9\n", ("2019", "2020")),
        ("# made by hand\n# a b\n1.5 2\n3 4\n", ("a", "b")),
        ("# a,b\n1.5,2\n3,4\n", ("a", "b")),
        ("0,1,2,3,4,5,6,7,8,9\n" + "0,0,0,0,0,1,1,1,1,1\n" * 3, tuple("0123456789")),
    ],
)
def test_a_header_of_numbers_is_recognized(
    tmp_path: Path, text: str, columns: tuple[str, ...]
) -> None:
    """As pandas writes an array: 0, 1, 2, ... above other numbers."""
    contents = table(tmp_path, text)

    assert contents.rows.origin.columns == columns
    n_above = 1 + text.count("# m")
    assert len(contents.rows.values) == len(text.strip().split("\n")) - n_above
    assert contents.rows.numbers[0] == n_above + 1


@pytest.mark.parametrize(
    "text",
    [
        "0,1\n1,0\n",
        "0,1,2\n3,4,5\n",
        "id,2019,2020\n1,2,3\n",
        "1,b\n3,4\n",
        "2019,2020\n1.5,2.5\n",
    ],
)
def test_a_first_line_that_can_be_both_is_asked_about(
    tmp_path: Path, text: str
) -> None:
    """And the options say which it is."""
    first = tuple(text.split("\n")[0].split(","))
    with pytest.raises(DataError, match=r"can be a header or a row: .* --no-header"):
        table(tmp_path, text)

    named = table(tmp_path, text, ReadOptions(header=True))

    assert named.rows.origin.columns == first
    assert len(named.rows.values) == 1
    if first[0].isdecimal() and first[1].isdecimal():
        nameless = table(tmp_path, text, ReadOptions(header=False))
        assert nameless.rows.origin.columns == ()
        assert len(nameless.rows.values) == 2


@pytest.mark.parametrize(
    "text", ["1,2\n3,4\n", "1.5,2\n3,4\n", "0\n1\n", "7,8,9\n1,2,3\n"]
)
def test_a_first_line_of_other_numbers_is_a_row(tmp_path: Path, text: str) -> None:
    """Only those that count the columns can be names."""
    assert len(table(tmp_path, text).rows.values) == 2


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (",a,b\n0,1.5,2\n1,3,4\n", ("a", "b")),  # pandas
        ('"","a","b"\n"1",1.5,2\n"2",3,4\n', ("a", "b")),  # R
        ('"a" "b"\n"1" 1.5 2\n"2" 3 4\n', ("a", "b")),  # R, write.table
        (",a,b\nMazda RX4,1.5,2\nValiant,3,4\n", ("a", "b")),
        (",a,b\n17,1.5,2\n3,3,4\n", ("a", "b")),  # of rows that were chosen
        ("a,b,\n1.5,2,\n3,4,\n", ("a", "b")),
        ("a,b\n1.5,2,\n3,4,\n", ("a", "b")),
        ("a,b\n1.5,2\n3,4\n,\n ,\n", ("a", "b")),
    ],
)
def test_what_programs_add_to_a_table_is_left_out(
    tmp_path: Path, text: str, columns: tuple[str, ...]
) -> None:
    """An index without a name, empty columns and empty rows."""
    contents = table(tmp_path, text)

    assert values(contents) == [[1.5, 2], [3, 4]]
    assert contents.rows.origin.columns == columns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n,\n3,4\n", "line 3 is empty"),
        ("a,b\n,\n1,2\n\n , \n3,4\n,\n", "2 rows from line 2 on are empty"),
        ('a\n1\n\n2\n""\n3\n\n', "2 rows from line 3 on are empty"),
        ("a,b\n1,2\n\n3,4\n,\n\n", ""),
    ],
)
def test_empty_rows_between_others_are_said_to_be_left_out(
    tmp_path: Path, text: str, said: str
) -> None:
    """They shift all rows below them; a line without separators is none, at the end."""
    notes = [note for note in table(tmp_path, text).notes if " empty" in note]

    wanted = [f"t.csv: {said} and left out; NA is a missing cell"]
    assert notes == (wanted if said else [])


def test_an_index_that_is_left_out_is_said(tmp_path: Path) -> None:
    """And --columns keeps it."""
    text = ",a\n0,1.5\n1,3\n"

    contents = table(tmp_path, text)

    assert any("column 1 of t.csv is an index" in note for note in contents.notes)
    with pytest.raises(DataError, match=r"column 1 of t\.csv has no name"):
        table(tmp_path, text, ReadOptions(columns=("1", "a")))


def test_an_index_is_said_to_be_one_also_among_the_columns_of_a_model(
    tmp_path: Path,
) -> None:
    """It has no name by which it could be listed among other columns."""
    notes = table(tmp_path, ",a,b\n0,1.5,1\n1,3,2\n", wanted=("a",)).notes

    index = "column 1 of t.csv is an index without a name and is left out"
    assert notes[1:] == (index, "left out of t.csv: b, which the model does not have")


@pytest.mark.parametrize(
    ("options", "columns", "expected"),
    [
        (ReadOptions(drop=("id", "species")), ("a", "b"), [[1.5, 2], [3, 4]]),
        (ReadOptions(drop=("1", "4")), ("a", "b"), [[1.5, 2], [3, 4]]),
        (ReadOptions(columns=("b", "a")), ("b", "a"), [[2, 1.5], [4, 3]]),
        (ReadOptions(columns=("3", "2")), ("b", "a"), [[2, 1.5], [4, 3]]),
        (
            ReadOptions(label="species", drop=("id",)),
            ("a", "b"),
            [[1.5, 2], [3, 4]],
        ),
        (ReadOptions(label="species", columns=("a",)), ("a",), [[1.5], [3]]),
    ],
)
def test_columns_are_chosen_by_name_or_number(
    tmp_path: Path,
    options: ReadOptions,
    columns: tuple[str, ...],
    expected: list[list[float]],
) -> None:
    """What is chosen, in which order, and what is left out."""
    contents = table(tmp_path, "id,a,b,species\n7,1.5,2,rose\n9,3,4,aster\n", options)

    assert contents.rows.origin.columns == columns
    assert values(contents) == expected
    if options.label:
        assert contents.rows.labels is not None
        assert contents.rows.labels.tolist() == [1, 0]
        assert any("0 = aster, 1 = rose" in note for note in contents.notes)


def test_labels_are_shown_as_a_terminal_can_show_them(tmp_path: Path) -> None:
    """Short, and without control characters."""
    text = f"a,y\n1.5,\x1b[31mred\n2.5,{100 * 'x'}\n"

    notes = table(tmp_path, text, ReadOptions(label="y")).notes

    assert all(note.isprintable() for note in notes)
    assert 41 * "x" not in "".join(notes)


@pytest.mark.parametrize("classes", [("3", "5"), ("0", "1")])
def test_integer_labels_stay_as_they_are(
    tmp_path: Path, classes: tuple[str, str]
) -> None:
    """Only texts are numbered."""
    text = f"a,y\n1.5,{classes[0]}\n2.5,{classes[1]}\n"

    contents = table(tmp_path, text, ReadOptions(label="y"))

    assert contents.rows.labels is not None
    assert contents.rows.labels.tolist() == [int(c) for c in classes]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (ReadOptions(drop=("c",)), "--drop c: t.csv has no such column; it has a, b"),
        (ReadOptions(label="3"), "--label 3: t.csv has no such column; it has a, b"),
        (ReadOptions(columns=("a", "0")), "--columns 0: t.csv has no such column"),
        (ReadOptions(drop=("a", "b")), "t.csv: no column is left of 2: name some in "),
        (ReadOptions(label="a", columns=("a",)), "--label a is one of the --columns"),
        (ReadOptions(sep=";;"), "--sep for t.csv: expected one character or tab"),
        (ReadOptions(x_key="x"), "--x-key is for arrays, not for t.csv"),
        (ReadOptions(layout="nchw"), "--layout is for arrays, not for t.csv"),
        (ReadOptions(size="8x8"), "--size is for folders of pictures, not for t.csv"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, options: ReadOptions, error: str
) -> None:
    """The error names the option and what there is."""
    with pytest.raises(DataError) as caught:
        table(tmp_path, "a,b\n1,2\n3,4\n", options)

    assert error in str(caught.value)


def test_columns_of_the_same_name_are_refused_and_told_apart_by_number(
    tmp_path: Path,
) -> None:
    """Names are how a request gives a row, so they must be distinct."""
    text = "a,b,a\n1,2,3\n"
    with pytest.raises(DataError, match=r"columns \[1, 3\] of t.csv .* --drop 3"):
        table(tmp_path, text)

    assert values(table(tmp_path, text, ReadOptions(drop=("3",)))) == [[1, 2]]
    with pytest.raises(DataError, match=r"t\.csv has 2 columns of this name"):
        table(tmp_path, text, ReadOptions(drop=("a",)))


@pytest.mark.parametrize(
    ("name", "column", "is_id"),
    [
        ("x", [str(7 * i % 40) for i in range(40)], True),
        ("id", [str(i // 2 + 0.5) for i in range(40)], True),
        ("patient_id", [str(i // 2) for i in range(40)], True),
        ("Unnamed: 0", [str(i // 2) for i in range(40)], True),
        ("x", [str(i // 2) for i in range(40)], False),
        ("label", [str(i // 2) for i in range(40)], False),
        ("x", [str(i + 0.5) for i in range(40)], False),
        ("width", [str(i // 2) for i in range(40)], False),
    ],
)
def test_a_column_like_an_identifier_draws_a_warning(
    tmp_path: Path, name: str, column: list[str], is_id: bool
) -> None:
    """Distinct integers, or a name like one: kept, and said with the option."""
    text = f"a,{name}\n" + "".join(f"{i % 3}.5,{c}\n" for i, c in enumerate(column))

    contents = table(tmp_path, text)

    warned = [note for note in contents.notes if "looks like an identifier" in note]
    assert len(warned) == is_id
    assert contents.rows.values.shape == (40, 2)
    if is_id:
        assert "--drop" in warned[0]


@pytest.mark.parametrize(
    ("name", "values", "warning"),
    [
        ("label", "1212", "looks like labels (by name): --label label"),
        ("class", "1212", "looks like labels (by name): --label class"),
        ("y", "1212", "looks like labels (by name): --label y"),
        (
            "x",
            ["1609459200000000001"] * 4,
            "has integers above 2^53, which are rounded",
        ),
        ("y", ["1.5", "2", "3", "4"], None),
    ],
)
def test_other_columns_that_may_be_no_data_draw_a_warning_too(
    tmp_path: Path, name: str, values: list[str], warning: str | None
) -> None:
    """Labels that would be trained on, and integers that float64 rounds."""
    text = f"a,{name}\n" + "".join(f"0.5,{value}\n" for value in values)

    notes = table(tmp_path, text).notes[1:]

    assert len(notes) == (warning is not None)
    assert warning is None or warning in notes[0]


@pytest.mark.parametrize("name", ["x", '"x"', "größe"])
def test_one_column_with_a_decimal_comma_is_no_two(tmp_path: Path, name: str) -> None:
    """As a spreadsheet in Germany writes it."""
    contents = table(tmp_path, f"{name}\n1,5\n2\n0,125\n")

    assert values(contents) == [[1.5], [2], [0.125]]
    assert contents.rows.origin.columns == (name.strip('"'),)
    assert "with a decimal comma" in contents.notes[0]


def test_comments_above_a_table_are_skipped(tmp_path: Path) -> None:
    """Whatever is in them."""
    contents = table(tmp_path, '# made on "Monday"\n#\na,b\n1.5,2\n3,4\n')

    assert values(contents) == [[1.5, 2], [3, 4]]
    assert contents.rows.origin.columns == ("a", "b")
    assert list(contents.rows.numbers) == [4, 5]


def test_rows_of_a_table_are_numbered_by_line(tmp_path: Path) -> None:
    """The header and empty lines count, as in an editor."""
    contents = table(tmp_path, '\ufeff"a, 1",b\r\n1, 2\r\n\r\n"3",4\r\n')

    assert list(contents.rows.numbers) == [2, 4]
    assert contents.rows.origin.columns == ("a, 1", "b")
    assert values(contents) == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a,b\n1,2\n3,x\n", "line 3 of t.csv, column 'b' holds 'x', expected a number"),
        ("a,b\n1,2\n3,x\n", "--label b takes it as labels"),
        ("1,2\n3,\n", "line 2 of t.csv, column 2 holds '', a missing value"),
        ("a,b\n1,NA\n", "line 2 of t.csv, column 'b' holds 'NA', a missing value"),
        ("a,b\n1,NA\n", "--drop b leaves the column out"),
        ("1,2\n3,1_000\n", "line 2 of t.csv, column 2 holds '1_000'"),
        (
            "a,b\n1.5,2\n3,4\n" * 1 + "5;6,7\n",
            "line 4 of t.csv, column 'a' holds '5;6'",
        ),
        ("a,b\n1,2\n3,nan\n", "line 3 of t.csv, column 'b' holds 'nan', a missing"),
        ("1,2\n1e999,4\n", "line 2 of t.csv, column 1 holds 'inf'"),
        ("a;b\n1,5;2\n3.5;4\n1,5;3\n", "line 3 of t.csv, column 'a' holds '3.5', and"),
        ("a;b\n1,5;2\n3.5;4\n1,5;3\n", "--decimal . says the other"),
        ("a,b\n1,2\n3\n", "line 3 of t.csv has 1 cells, expected 2"),
        (",a\n0.5,2\n", "column 1 of t.csv has no name in the header"),
        (",a\n0.5,2\n", "--drop 1"),
        pytest.param(
            "a,b,\n1,2,\n" + 60_000 * "3,4,\n" + "5,6,7\n",
            "has a value in column 3,",
            marks=pytest.mark.slow("reads 60,000 lines"),
        ),
        ("", "t.csv holds no rows"),
        ("\n\n", "t.csv holds no rows"),
        ("a,b\n", "t.csv holds no rows below its header, a,b"),
        ("a,b\n1,12%\n2,0.12\n", "without a unit, and others of the column are in '%'"),
        ("a,b\n1,0.12\n2,12%\n", "'b' has a number without a unit"),
        ("a,b\n1,$5\n2,5 EUR\n", "in 'EUR', and others of the column are in '$'"),
        ('a,"b" \n1,2\n', "in line 1; a cell in quotes begins and ends with one"),
        ("Report;;\na;b;\n1;2;\n", "if that is no header, remove the lines above it"),
        ("PK\x03\x04", "t.csv is a workbook of Excel or LibreOffice"),
        ('1,"2\n', "t.csv cannot be read: unexpected end of data"),
    ],
)
def test_a_bad_table_is_refused_by_line_and_column(
    tmp_path: Path, text: str, error: str
) -> None:
    """The error names file, line, column, value, and the option that would help."""
    with pytest.raises(DataError) as caught:
        table(tmp_path, text)

    assert error in str(caught.value)


@pytest.mark.parametrize("content", [b"1,2\n\x81,3\n", b"\xff\xfe1\x00,\x00\x00\xd8"])
def test_a_table_that_is_not_text_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes of no encoding that is known are an error that names the file."""
    (tmp_path / "t.csv").write_bytes(content)

    with pytest.raises(DataError, match=r"t.csv cannot be read"):
        read(tmp_path / "t.csv")


def test_a_long_cell_is_not_echoed_whole(tmp_path: Path) -> None:
    """The error stays short however bad the cell."""
    with pytest.raises(DataError) as caught:
        table(tmp_path, "1,2\n3," + 10_000 * "x")

    assert len(str(caught.value)) < 250


def test_columns_of_a_model_are_found_by_their_names(tmp_path: Path) -> None:
    """In the model's order, whatever else there is; a missing one is named."""
    text = "id,b,a\n7,2,1\n8,4,3\n"

    contents = table(tmp_path, text, wanted=("a", "b"))

    assert values(contents) == [[1, 2], [3, 4]]
    assert contents.rows.origin.columns == ("a", "b")
    assert any("left out of t.csv: id" in note for note in contents.notes)
    with pytest.raises(DataError, match=r"lacks 1 of the model's 2 columns, c; it has"):
        table(tmp_path, text, wanted=("a", "c"))


def test_a_table_without_names_is_taken_in_its_order(tmp_path: Path) -> None:
    """A model's names say nothing about columns that have none."""
    contents = table(tmp_path, "1.5,2\n3,4\n", wanted=("a", "b"))

    assert values(contents) == [[1.5, 2], [3, 4]]
    assert contents.rows.origin.columns == ()


def test_a_cell_may_be_longer_than_python_allows(tmp_path: Path) -> None:
    """Python's own limit is 131,072 characters, also in a column that is left out."""
    text = "a,b,c\n" + "".join(f'{i}.5,{i},"{"x" * 140_000}"\n' for i in range(3))

    contents = table(tmp_path, text, ReadOptions(drop=("c",)))

    assert values(contents) == [[0.5, 0], [1.5, 1], [2.5, 2]]


@pytest.mark.parametrize("n_characters", [40, 100, 200])
@pytest.mark.parametrize("cell", ["word " * 20, "one\ntwo, three\n" * 5])
def test_a_sample_ends_in_no_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_characters: int, cell: str
) -> None:
    """A table is recognized by whole rows, however long rows or cells are."""
    monkeypatch.setattr(text_table, "_SAMPLE_CHARACTERS", n_characters)
    text = "a;b;c\n" + "".join(f'{i},5;{i};"{cell}"\n' for i in range(9))

    contents = table(tmp_path, text, ReadOptions(drop=("c",)))

    assert values(contents) == [[i + 0.5, i] for i in range(9)]


def test_a_quote_that_is_not_closed_is_found_where_its_row_begins(
    tmp_path: Path,
) -> None:
    """Not at the end of the file, which has no fault."""
    text = 'a,b\n1,x\n2,"y\n' + "3,z\n" * 9

    with pytest.raises(DataError, match=r"unexpected end of data in line 3;"):
        table(tmp_path, text)
