"""Cells of a table become codes, whatever they are, or are refused."""

import json
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from app.errors import ProblemError, UnprocessableError
from app.wire import codes
from app.wire.csv import reader
from app.wire.csv.writer import CsvText
from app.wire.json import strict
from app.wire.layout import Layout
from app.wire.reply import Reply, TableColumns
from model.tables.schema import TableSchema
from tests.app.wire.mutations import MUTATIONS
from tests.model.tables.tables import MIXED, levels, mixed_codes, number
from tests.unhurried import UNHURRIED

SCHEMA = TableSchema(columns=MIXED)
TABLE = Layout(
    "x",
    (4,),
    100_000,
    columns=SCHEMA.names,
    schema=SCHEMA,
    may_be_missing=True,
    dtype=np.float64,
)
CODES = mixed_codes(30)
REPLY = Reply({"x": CODES}, columns={"x": TableColumns(SCHEMA.names, SCHEMA)})
CSV = b"".join(CsvText(REPLY))
MAX = 1 << 32


def records() -> bytes:
    """Return the rows as a body of records."""
    rows = codes.cells(CODES, SCHEMA.names, SCHEMA)
    x = [dict(zip(SCHEMA.names, row, strict=True)) for row in rows]
    return json.dumps({"x": x}).encode()


def read_csv(body: bytes) -> Any:
    """Read a body in CSV."""
    return reader.read(body, TABLE, Event()).values


def read_json(body: bytes) -> Any:
    """Read a body of records."""
    return strict.read(body, TABLE)[0].values


def test_what_is_written_is_read() -> None:
    """Every cell, in CSV and as records."""
    assert np.array_equal(read_csv(CSV), CODES, equal_nan=True)
    assert np.array_equal(read_json(records()), CODES, equal_nan=True)


_NUMBERS = st.integers(0, MAX - 1)
_CHANGES = st.lists(
    st.tuples(st.sampled_from(MUTATIONS), _NUMBERS, _NUMBERS), min_size=1, max_size=4
)


@pytest.mark.slow("damages many bodies")
@pytest.mark.parametrize("form", ["csv", "records"])
@given(changes=_CHANGES)
@settings(UNHURRIED, max_examples=150)
def test_a_damaged_body_is_read_or_refused(form: str, changes: Any) -> None:
    """Never another error, and never a code that is none."""
    body, read = (CSV, read_csv) if form == "csv" else (records(), read_json)
    for change, where, what in changes:
        body = change(body, where, what)
    try:
        found = read(body)
    except ProblemError as error:
        event("refused")
        if len(error.document(instance="/", request_id="")) >= 1000:
            pytest.fail("a long problem")
        return

    codes.check(found, TABLE, SCHEMA)


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["1", "+2", ".5", "", "NA", "1e3"], [1, 2, 0.5, np.nan, np.nan, 1000]),
        ([1, 2.5, None, 10**30], [1, 2.5, np.nan, 1e30]),
        (["1", "nan", "null"], [1, np.nan, np.nan]),
    ],
)
def test_numbers_are_read_fast_or_slowly_alike(
    cells: list[Any], wanted: list[float]
) -> None:
    """One cell at a time gives what all together give."""
    schema = TableSchema(columns=(number("a"),))
    layout = Layout("x", (1,), 9, columns=("a",), schema=schema)

    together = codes.of_rows([[c] for c in cells], ["a"], layout, schema, 0)
    alone = [codes.of_rows([[c]], ["a"], layout, schema, 0).values[0, 0] for c in cells]

    assert np.array_equal(together.values[:, 0], wanted, equal_nan=True)
    assert np.array_equal(alone, wanted, equal_nan=True)


def test_one_and_true_are_different_cells() -> None:
    """Each has its own code, or none."""
    schema = TableSchema(columns=(levels("a", "categorical", 1, 2, "true"),))
    layout = Layout("x", (1,), 9, columns=("a",), schema=schema)

    found = codes.of_rows([[1], [True], ["true"], [2]], ["a"], layout, schema, 0)

    assert found.values[:, 0].tolist() == [0, 2, 2, 1]


def test_the_first_unknown_category_is_named() -> None:
    """Also if it occurs again; each has the code of an unseen one."""
    layout = Layout("x", (1,), 9, columns=("group",), schema=SCHEMA)
    rows = [["a"], ["b"], ["x"], ["a"], ["x"], ["y"]]

    found = codes.of_rows(rows, ["group"], layout, SCHEMA, 10)

    assert found.values[:, 0].tolist() == [0, 1, 3, 0, 3, 3]
    assert [fault.pointer for fault in found.unknown] == ["/x/12/0"]


def test_the_first_bad_cell_is_named() -> None:
    """Also if it occurs again."""
    layout = Layout("x", (1,), 9, columns=("flag",), schema=SCHEMA)
    rows: list[list[Any]] = [[True], [False], ["x"], [True], ["x"]]

    with pytest.raises(UnprocessableError) as caught:
        codes.of_rows(rows, ["flag"], layout, SCHEMA, 10)

    assert caught.value.faults[0].pointer == "/x/12/0"
