"""Codes stand for cells, both ways; what stands for none is refused by its place."""

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from model.tables.schema import CellError, LeftOut, TableColumn, TableSchema
from tests.model.tables.tables import levels, number

SCHEMA = TableSchema(
    columns=(
        number("age"),
        number("price", resolution=0.01),
        levels("job", "categorical", "nurse", "clerk", "NA"),
        levels("rooms", "categorical", 1, 2, 3),
        levels("own", "binary", False, True),
        levels("size", "ordinal", "S", "M", "L"),
    ),
    left_out=(LeftOut(name="id", why="it looks like an identifier"),),
)


@pytest.mark.parametrize(
    ("name", "cells", "codes"),
    [
        ("age", [3, 4.0, "17", " 2 ", "4\x1e"], [3, 4, 17, 2, 4]),
        ("price", [0.1, "1e2"], [0.1, 100]),
        ("job", ["nurse", " clerk ", "NA"], [0, 1, 2]),
        ("rooms", [1, "2", 3.0, "3.0"], [0, 1, 2, 2]),
        ("own", [True, "FALSE", "true", 1, 0.0, "1"], [1, 0, 1, 1, 0, 1]),
        ("size", ["L", "S"], [2, 0]),
    ],
)
def test_cells_have_the_codes_of_their_meaning(
    name: str, cells: list[Any], codes: list[float]
) -> None:
    """Numbers are themselves, categories their index, in any way to write them."""
    found = SCHEMA.codes(name, cells)

    assert found.dtype == np.float64
    assert found.tolist() == codes


@pytest.mark.parametrize("cell", [None, math.nan, "", "NA", "NaN", "null", "?", " na "])
@pytest.mark.parametrize("name", ["age", "rooms", "own", "size"])
def test_what_stands_for_no_value_is_missing(name: str, cell: Any) -> None:
    """Its code is NaN, and the cell of NaN is None."""
    [code] = SCHEMA.codes(name, [cell])

    assert math.isnan(code)
    assert SCHEMA.cells(name, [code]) == [None]


@pytest.mark.parametrize(
    ("name", "codes", "cells"),
    [
        ("age", [3.0, 4.4], [3, 4]),
        ("age", [2.0**53 - 1, 2.0**53, -1e300], [2**53 - 1, 2.0**53, -1e300]),
        ("age", [math.inf, -math.inf], [None, None]),
        ("price", [0.1 + 0.2, 12.345678], [0.3, 12.35]),
        ("job", [1.0, 3.0], ["clerk", None]),
        ("rooms", [0.0, 2.0], [1, 3]),
        ("own", [0.0, 1.0], [False, True]),
    ],
)
def test_codes_have_cells(name: str, codes: list[float], cells: list[Any]) -> None:
    """Numbers with the decimals of their column, categories as they were written."""
    found = SCHEMA.cells(name, codes)

    assert found == cells
    assert list(map(type, found)) == list(map(type, cells))


@pytest.mark.parametrize(
    ("name", "cell", "what"),
    [
        ("age", "old", "expected a finite number or a missing cell, got 'old'"),
        ("age", True, "got true"),
        ("age", math.inf, "got inf"),
        ("job", "pilot", "unknown category 'pilot'; the model knows 'nurse', 'clerk'"),
        ("rooms", 4, "unknown category 4"),
        ("own", "maybe", "unknown category 'maybe'; the model knows false, true"),
    ],
)
def test_a_cell_of_no_meaning_is_refused(name: str, cell: Any, what: str) -> None:
    """The error has the row, the column and what was expected."""
    with pytest.raises(CellError, match=rf"row 1, column '{name}'") as refused:
        SCHEMA.codes(name, [None, cell])

    assert what in str(refused.value)
    assert (refused.value.column, refused.value.row) == (name, 1)


def test_an_unseen_category_has_a_code_of_its_own_if_asked_for() -> None:
    """Only a categorical column has one."""
    assert SCHEMA.codes("job", ["pilot"], unseen=True).tolist() == [3]
    with pytest.raises(CellError):
        SCHEMA.codes("own", ["maybe"], unseen=True)


def test_a_schema_survives_its_file() -> None:
    """Numbers, texts and truth values stay what they are."""
    read = TableSchema.model_validate_json(SCHEMA.model_dump_json())

    assert read == SCHEMA
    assert [type(c) for c in read.column("own").categories or ()] == [bool, bool]
    assert [type(c) for c in read.column("rooms").categories or ()] == [int] * 3


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"kind": "numeric"}, "expected categories exactly"),
        ({"kind": "binary"}, "expected 2 categories, got 3"),
        ({"resolution": 1.0}, "expected a resolution exactly"),
        ({"categories": ["x", "x"]}, "must be distinct"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(
    change: dict[str, Any], what: str
) -> None:
    """A kind has categories or a resolution, and not both."""
    document = {"name": "x", "kind": "ordinal", "categories": ["S", "M", "L"]}

    with pytest.raises(ValidationError, match=what):
        TableColumn.model_validate_json(json.dumps({**document, **change}))


def test_names_are_distinct() -> None:
    """Also from those that were left out."""
    with pytest.raises(ValidationError, match="'age' twice"):
        TableSchema(columns=(number("age"),), left_out=(LeftOut(name="age", why=""),))
