"""CSV bodies become rows, exactly, or are refused with the line and the column."""

import csv
import io
import json
import re
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from app.errors import ContentTooLargeError, ProblemError, UnprocessableError
from app.wire import columns
from app.wire.csv import reader
from app.wire.layout import Layout, Rows
from model.units import Units
from tests.app.wire.mutations import MUTATIONS
from tests.unhurried import UNHURRIED

NAMES = ("height", "mass", 'a "b", c')
TABLE = Layout("x", (3,), 100_000, columns=NAMES)
ONE = Layout("x", (1,), 100, columns=("a",))
HEADER = 'height,mass,"a ""b"", c"\r\n'
X = [[1.5, -2.0, 0.25], [3e-7, 4.0, 1e6]]
MAX = 1 << 32


def read(text: str | bytes, layout: Layout = TABLE) -> Rows:
    """Read a body."""
    body = text.encode() if isinstance(text, str) else text
    return reader.read(body, layout, Event())


def fault(text: str | bytes, layout: Layout = TABLE) -> tuple[str, str]:
    """Return the pointer and the detail of the first fault of a body."""
    with pytest.raises(UnprocessableError) as caught:
        read(text, layout)
    first = caught.value.faults[0]
    return first.pointer, first.detail


def written(rows: Any, names: Any = NAMES, **options: Any) -> str:
    """Return rows as Python's own module writes them."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, **options)
    writer.writerow(names)
    writer.writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", ["", None])
def test_rows_are_those_that_were_written(
    quoting: Any, ending: str, mark: str, last: str | None
) -> None:
    """With quotes or without, CRLF or LF, a mark of UTF-8, an open last line."""
    text = mark + written(X, quoting=quoting, lineterminator=ending)

    rows = read(text if last is None else text.removesuffix(ending))

    assert rows.values.dtype == np.float32
    assert np.array_equal(rows.values, np.array(X, np.float32))
    assert rows.pointer_to is not None
    assert rows.pointer_to(1, 0) == "/x/1/height"
    assert not rows.shaped


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_columns_are_found_by_name(order: tuple[int, ...], quoting: Any) -> None:
    """Whatever their order; spaces around a name are not part of it."""
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    names = [f" {NAMES[i]}" if i else NAMES[i] for i in order]

    rows = read(written(x[:, order].tolist(), names, quoting=quoting))

    assert np.array_equal(rows.values, x)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("+1", 1),
        (" 7 ", 7),
        (".5", 0.5),
        ("2.", 2),
        ("007", 7),
        ('"1,234.5"', 1234.5),
        ("TRUE", 1),
        ("false", 0),
        ("1E3", 1000),
    ],
)
def test_a_cell_means_what_it_means_in_a_file(cell: str, value: float) -> None:
    """Training reads the same text as the same number."""
    assert read(f"{HEADER}1,{cell},2\n").values.tolist() == [[1, value, 2]]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(('"1"', 1), ('"01"', 1), ('"+1"', 1), ('"-1e3"', -1000), ('".5"', 0.5)),
        *(('" 2"', 2), ('"1,000"', 1000)),
    ],
)
def test_a_number_in_quotes_is_the_number(cell: str, value: float) -> None:
    """However it is written, beside numbers with and without quotes."""
    rows = read(f'{HEADER}{cell},"3",4\r\n5,"6",{cell}\r\n')

    assert rows.values.tolist() == [[value, 3, 4], [5, 6, value]]


@pytest.mark.slow("reads long bodies")
@pytest.mark.parametrize("form", ["plain", "crlf", "quoted", "signed"])
def test_a_long_body_is_read_in_pieces(form: str) -> None:
    """Every number has its place, in pieces of numbers and in those of cells."""
    x = np.random.default_rng(1).normal(size=(40_000, 3)).astype(np.float32)
    ending = "\r\n" if form == "crlf" else "\n"
    rows: list[list[Any]] = x.tolist()
    if form == "quoted":
        rows[20_000][1] = f'"{rows[20_000][1]}"'
    if form == "signed":
        rows = [[a, b, f"{c:+}"] for a, b, c in x.astype(np.float64).tolist()]
    lines = (",".join(map(str, row)) for row in rows)
    text = HEADER + ending.join(lines)
    assert len(text) > 4 * reader.PIECE_BYTES

    assert np.array_equal(read(text).values, x)


@pytest.mark.parametrize("place", [0, 17, 30_000])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_an_error_names_its_line_and_its_column(place: int, ending: str) -> None:
    """In the order of the model's columns for the pointer, whatever was sent."""
    names = ["mass", "height", 'a "b", c']
    rows: list[list[Any]] = [[0, 0, 0]] * 30_001
    rows[place] = [0, "tall", 0]

    text = written(rows, names, lineterminator=ending)

    where = f"line {place + 2}"
    pointer, detail = fault(text)
    assert pointer == f"/x/{place}/height"
    assert detail == f"{where}, height: expected a finite number, got text"
    pointer, detail = fault(text.replace("tall", "1e39"))
    assert pointer == f"/x/{place}/height"
    assert detail.startswith(f"{where}, height: expected a finite number that fits")
    pointer, detail = fault(text.replace("tall", ""))
    assert pointer == f"/x/{place}/height"
    assert detail == f"{where}, height: expected a number, got an empty cell"


def test_line_ends_within_quotes_count() -> None:
    """A header of two lines puts the first row into the third."""
    layout = Layout("x", (2,), 10, columns=("a\nb", "c"))

    assert read('"a\nb",c\n1,2\n', layout).values.tolist() == [[1, 2]]
    assert "line 4, c" in fault('"a\nb",c\n1,2\n1,x\n', layout)[1]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "line 1: expected the names of the columns, got nothing"),
        ("\ufeff\n", "line 1: expected the names of the columns, got nothing"),
        (HEADER, "expected [N, 3], got no rows"),
        ("height,mass\n1,2\n", 'got none for a "b", c'),
        ("height,mass,height\n", "expected each column once, got height twice"),
        (HEADER.replace("\r", ",sex\r") + "1,2,3,4\n", "got 1 other: sex"),
        (f",{HEADER}0,1,2,3\n", "got an empty one; write no index"),
        (f"{HEADER}1,2\n", "line 2: expected 3 cells, one for each name in line 1"),
        (f"{HEADER}1,2,3,4\n", "line 2: expected 3 cells"),
        (f"{HEADER}1,2,3\n\n1,2,3\n", "line 3: expected 3 cells"),
        (f'{HEADER}1,2,"3"4\n', "line 2: expected quotes around a whole cell"),
        (f'{HEADER}1,2,3"4"\n', "line 2: expected quotes around a whole cell"),
        (f'{HEADER}1,2,3\n1,2,"3\n', "line 3: expected a quote at the end"),
        (f"{HEADER}1,2,3\r1,2,3\n", "line 2: expected CRLF or LF"),
        (f"{HEADER}1;2;3\n", "line 2: expected 3 cells"),
        (f"{HEADER}1,2,[3]\n", "expected a finite number, got text"),
        (f"{HEADER}1,2,1e999\n", "expected a finite number, got text"),
        (f"{HEADER}1,2,1_000\n", "expected a finite number, got text"),
        (f"{HEADER}1,2,inf\n", "expected a finite number, got text"),
        (f"{HEADER}1,2,\u0663\n", "expected a finite number, got text"),
        (f"{HEADER}1,NaN,3\n", "line 2, mass: expected a number, got an empty cell"),
    ],
)
def test_what_is_no_table_of_the_model_is_refused(text: str, detail: str) -> None:
    """With what was expected."""
    assert detail in fault(text)[1]


def test_a_byte_that_is_not_of_utf_8_is_refused_by_its_line() -> None:
    """Also in a piece that begins later."""
    text = HEADER.encode() + b"1,2,3\n" * 5 + b"1,2,\xff\n"

    assert fault(text)[1] == "line 7: expected UTF-8, got another byte"


def test_a_name_that_could_be_an_attack_is_not_repeated() -> None:
    """Only short and plain names are."""
    for name in ("<script>", "a" * 41, "\x1b[0m"):
        detail = fault(f'{HEADER.strip()},"{name}"\n')[1]

        assert "of the model, got 1 other; it has height, " in detail
        assert name not in detail


def test_too_many_rows_are_too_large() -> None:
    """At the first row that is too many."""
    layout = Layout("x", (1,), 100, columns=("a",))

    assert len(read("a\n" + "1\n" * 100, layout).values) == 100
    with pytest.raises(ContentTooLargeError, match="at most 100 rows"):
        read("a\n" + "1\n" * 101, layout)


def test_a_line_has_a_longest_length() -> None:
    """It would be in memory as a whole."""
    for text in ('"', "1", ",", "1,"):
        line = text * reader.PIECE_BYTES * 3

        assert "expected a line of at most 262144 bytes" in fault(HEADER + line)[1]
        assert "expected a line of at most 262144 bytes" in fault(line)[1]


def test_reading_stops_when_it_is_told_to() -> None:
    """A client that has gone needs no rows."""
    stop = Event()
    stop.set()

    with pytest.raises(UnprocessableError, match="got no rows"):
        reader.read(written(X).encode(), TABLE, stop)


def test_values_are_standardized_by_column() -> None:
    """In data units of any size, and each column by its own."""
    scale, shift = np.array([1e9, 1.0, 1e-9]), np.array([1e12, 0.0, 1.0])
    units = Units(shift, scale)
    layout = Layout("x", (3,), 10, units=units, columns=NAMES)
    x = shift + scale * np.array([[1.0, -1.0, 2.0]])

    rows = read(written(x[:, ::-1].tolist(), NAMES[::-1]), layout)

    assert np.array_equal(rows.values, units.standardize(x))


_SEPARATORS = re.compile("[,' \u00a0\u202f]")  # of thousands
_CELLS = st.floats(width=32, allow_nan=False, allow_infinity=False)
_BODIES = st.builds(
    lambda rows, quoting, ending: written(
        rows, quoting=quoting, lineterminator=ending
    ).encode(),
    st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1, max_size=5),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
)
_NUMBERS = st.integers(0, MAX - 1)
_CHANGES = st.lists(
    st.tuples(st.sampled_from(MUTATIONS), _NUMBERS, _NUMBERS), min_size=1, max_size=4
)


@pytest.mark.slow("tries many tables")
@given(body=_BODIES)
@settings(UNHURRIED, max_examples=100)
def test_whatever_another_program_writes_is_read(body: bytes) -> None:
    """As that program reads it."""
    wanted = [*csv.reader(io.StringIO(body.decode(), newline=""))][1:]

    assert np.array_equal(read(body).values, np.array(wanted, np.float32))


@pytest.mark.slow("tries many mutations")
@given(body=_BODIES, changes=_CHANGES)
@settings(UNHURRIED, max_examples=400)
def test_a_damaged_body_is_read_as_others_read_it_or_refused(
    body: bytes, changes: Any
) -> None:
    """Never another error, and never a number that is not there."""
    for change, where, what in changes:
        body = change(body, where, what)
    try:
        values = read(body).values
    except ProblemError as error:
        document = error.document(instance="/", request_id="")
        event("refused")
        if len(document) >= 1000:
            pytest.fail("a long problem")
        return
    lines = [*csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))]

    names = [name.strip() for name in lines[0]]
    order = [names.index(name) for name in NAMES]
    assert values.shape == (len(lines) - 1, 3)
    for row, cells in zip(values, lines[1:], strict=True):
        for value, cell in zip(row, [cells[i] for i in order], strict=True):
            if cell.strip().lower() not in ("true", "false"):
                assert value == np.float32(_SEPARATORS.sub("", cell))


def test_pieces_of_numbers_are_json() -> None:
    """What JSON reads as a number, CSV does, with the same bits."""
    texts = ["1", "-0", "1e5", "0.1", "123456789012345678", "4.9e-324", "1e-400"]
    for text in texts:
        assert read(f"a\n{text}\n", ONE).values[0, 0] == np.float32(json.loads(text))


def test_long_cells_are_read_and_not_kept() -> None:
    """A client could fill memory with numbers of a quarter of a mebibyte each."""
    numbers_before = columns._read_before.cache_info().currsize

    assert columns.number_in("0" * 1000 + "7.5") == 7.5
    assert columns.number_in("7.5" + "a" * 1000) is None
    assert columns._read_before.cache_info().currsize == numbers_before
