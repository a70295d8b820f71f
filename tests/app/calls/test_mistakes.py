"""What newcomers send by mistake: each answer says what was wrong and what to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import MAX_BYTES
from tests.app.served import JSON, Served, assert_problem

PENGUINS = Path(__file__).parents[3] / "released" / "penguins"
ROW = b'{"species": "Adelie", "bill_length_mm": 39.1}'
CSV = {"content-type": "text/csv"}
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(scope="module")
def penguins() -> Iterator[Served]:
    """Serve the released model of a table."""
    with Served(PENGUINS) as served:
        yield served


def detail(served: Served, body: bytes, headers: dict[str, str], status: int) -> str:
    """Return what the answer to a body says; it is short."""
    response = served.post_raw("/encode", body, headers)
    assert len(response.content) <= MAX_BYTES
    return str(assert_problem(response, status)["detail"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "expected JSON, got an empty body"),
        (b" \n", "expected JSON, got an empty body"),
        (b'{"x": [{"year": 2007,}]}', "remove the comma before it"),
        (b'{"x": [{"year": 2007},]}', "remove the comma before it"),
        (b"{'x': []}", "write double quotes, not single ones"),
        (b'{"x": [{"species": None}]}', "write null, true or false"),
        (b'{"x": [{"specie": "Adelie"}]}', "1 other: specie; did you mean species?"),
        (b'{"x": [{"Year": 2007}]}', "1 other: Year; did you mean year?"),
        (b'{"x": [{"weight": 3}]}', "1 other: weight; it has species, island, bill_"),
        (b'{"x": ' + ROW + b"}", "got one row; put it in brackets: [{...}]"),
        (b'{"x": {"species": ["Adelie"]}}', "got a list for each column; send an"),
        (b'{"x": {"data": [["Adelie"]]}}', "columns and data, got no columns"),
        (ROW, 'but it is missing; got species, bill_length_mm; send the row as {"x": '),
        (b"[" + ROW + b"]", "expected an object with x, got an array"),
        (b'{"x": [["Adelie", 1, 2, 3, 4, 5, 6, 7]]}', "send words by the names of"),
        (b'{"x": [{"species": ["Adelie"]}]}', "a boolean or null, got an array"),
        (b'{"x": {"columns": ["year"], "data": [[]]}}', "in columns, got 0"),
        (b'{"x": {"columns": ["year"], "data": [3]}}', "in columns, got no array"),
        (b'{"x": [{"species": "adelie"}]}', "'adelie'; did you mean 'Adelie'?"),
        (b'{"x": [{"body_mass_g": "39,1"}]}', "write a decimal point, no comma"),
        (b'{"x": [{"body_mass_g": "2007-11-11"}]}', "or a missing cell, got '2007"),
        (b'{"x": []}', "got no rows"),
    ],
)
def test_a_mistake_in_json_is_named(penguins: Served, body: bytes, said: str) -> None:
    """With what came and what to send, and never as a bug of the service."""
    assert said in detail(penguins, body, JSON, 422)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"species;year\nAdelie;2007\n", "1 other; separate cells by commas"),
        (b"species\tyear\nAdelie\t2007\n", "1 other; separate cells by commas"),
        (b'body_mass_g\n"39,1"\n', "line 2, body_mass_g: expected a finite number"),
        (b'body_mass_g\n"39,1"\n', "write a decimal point, no comma"),
        (b"species\nADELIE\n", "did you mean 'Adelie'?"),
        (b"Adelie,2007\n", "2 others: Adelie, 2007; it has species, island"),
        (b"species,year" + b"Adelie,2007" * 9, "with --data-binary, not with -d"),
        (b"species,year\n", "got no rows"),
        (b"", "expected the names of the columns, got nothing"),
    ],
)
def test_a_mistake_in_csv_is_named(penguins: Served, body: bytes, said: str) -> None:
    """By its line and column where it has them."""
    assert said in detail(penguins, body, CSV, 422)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfspecies,year\r\nAdelie,2007\r\n",
        b'"species","year"\n"Adelie", 2007\n',
        b"year,species\n2007,Adelie",
    ],
)
def test_what_programs_write_is_read(penguins: Served, body: bytes) -> None:
    """A mark, Windows line ends, quotes, spaces, another order, no last line end."""
    wanted = penguins.post("/encode", {"x": [{"species": "Adelie", "year": 2007}]})

    found = penguins.post_raw("/encode", body, CSV)

    assert found.json() == wanted.json()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"content-type": XLSX}, "save it as CSV, with commas and decimal points"),
        ({"content-type": "multipart/form-data"}, "-H 'Content-Type: text/csv'"),
        ({"content-type": "text/plain"}, "send the header Content-Type: application/j"),
    ],
)
def test_a_wrong_type_has_a_next_step(
    penguins: Served, headers: dict[str, str], said: str
) -> None:
    """That of a table, and nothing about pictures."""
    found = detail(penguins, b"species\nAdelie\n", headers, 415)

    assert said in found
    assert "images" not in found


def test_too_many_rows_can_be_sent_in_parts(penguins: Served) -> None:
    """The answer says so, before all of them are read."""
    body = b"species\n" + b"Adelie\n" * 100_001

    found = detail(penguins, body, CSV, 413)

    assert found.startswith("expected at most 16384 rows, got ")
    assert found.endswith(" or more; send them in several requests")


def test_a_number_out_of_range_is_said_in_a_sentence(penguins: Served) -> None:
    """As of a negative count."""
    problem = assert_problem(penguins.post("/sample", {"n": -3}), 422)

    assert "expected a number greater than or equal to 1, got -3" in problem["detail"]
