"""Cells of a table become the codes that the service knows, and back."""

import itertools
import math
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from model.tables.cells import _MISSING_NUMBERS
from model.tables.schema import TableColumn
from tests.client.vae_client.test_frames import Frame
from vae_client import cells, frames

NAMES = ("size", "group", "flag")
GROUPS = ["a", "b", "c"]
TABLE = {"size": None, "group": GROUPS, "flag": [False, True]}


class NAType:
    """What pandas has for a missing value."""


def check_code(
    value: Any, categories: tuple[Any, ...] | None, wanted: float | None, refusal: str
) -> None:
    """Assert that a cell has a code, or is refused if none is wanted."""
    if wanted is None:
        with pytest.raises(ValueError, match=refusal):
            cells.codes("a", [value], categories)
    else:
        found = cells.codes("a", [value], categories)
        assert np.array_equal(found, [wanted], equal_nan=True)


@pytest.mark.parametrize(
    ("values", "categories", "codes"),
    [
        ([1, 2.5, np.float32(3)], None, [1, 2.5, 3]),
        ([None, math.nan, NAType(), 1], None, [math.nan, math.nan, math.nan, 1]),
        (["c", " a", None], GROUPS, [2, 0, math.nan]),
        (np.array(["b", "a"]), GROUPS, [1, 0]),
        ([True, False, np.True_], [False, True], [1, 0, 1]),
        ([3, 3.0, np.int8(1)], [1, 3], [1, 1, 0]),
        ([Decimal("3.0"), "3.0", "03"], [1, 3], [1, 1, 1]),
        ([0, 1.0, "1", "TRUE", np.True_], [False, True], [0, 1, 1, 1, 1]),
        (["", "NA", " null"], GROUPS, [math.nan] * 3),
        (["NA", "b"], ["NA", "b"], [0, 1]),
        ([Decimal("2.5"), Decimal("NaN")], None, [2.5, math.nan]),
        (np.array([2.5, math.nan], np.longdouble), None, [2.5, math.nan]),
        (["2.5", " -3e1", "", "unknown"], None, [2.5, -30, math.nan, math.nan]),
        (np.array(["NaT"], "M8[ns]"), None, [math.nan]),
    ],
)
def test_cells_have_codes(values: Any, categories: Any, codes: list[float]) -> None:
    """Numbers themselves, categories their places, missing cells NaN."""
    found = cells.codes("a", values, categories)

    assert np.array_equal(found, codes, equal_nan=True)


@pytest.mark.parametrize(
    ("value", "categories", "what"),
    [
        ("d", GROUPS, "unknown category 'd'; the model knows 'a', 'b', 'c'"),
        ("99", [*range(20)], "the model knows 0, 1, 2, 3, 4, 5, 6, 7 and 12 more"),
        ("many", None, "expected a finite number or a missing cell, got 'many'"),
        ("3,5", None, "got '3,5'; write a decimal point, no comma"),
        (math.inf, None, "got inf"),
        (True, None, "got True"),
        (np.datetime64(7, "ns"), None, "got '1970-01-01T00:00:00.000000007'"),
        (np.timedelta64(7, "ns"), None, "got '7 nanoseconds'"),
        (10**400, None, f"got 1{'0' * 39}..."),
        ("x" * 10_000, GROUPS, f"unknown category '{'x' * 39}..."),
        (date(2007, 1, 1), [2007], "unknown category datetime.date(2007, 1, 1)"),
        ("B", GROUPS, "unknown category 'B'; did you mean 'b'?"),
    ],
)
def test_other_cells_are_refused(value: Any, categories: Any, what: str) -> None:
    """With the row, the column and what it knows."""
    known = None if categories is None else categories[0]

    with pytest.raises(ValueError, match="row 1, column 'a': ") as error:
        cells.codes("a", [known, value], categories)

    assert what in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("value", "categories"),
    [
        *itertools.product([0, 1.0, "1", "TRUE", "nan", 2, "x"], [(False, True)]),
        *itertools.product([3.0, "3", "3.0", True, "", "x"], [(1, 3)]),
        *itertools.product(["1", 1, "01", " 1", "NA", "?"], [("1", "NA")]),
        *itertools.product(["0_1", "1e999", "\u0661"], [(1, 3)]),
    ],
)
def test_a_frame_has_the_codes_that_the_service_reads(
    value: Any, categories: tuple[Any, ...]
) -> None:
    """Of the same cell in JSON, and what one refuses the other refuses."""
    column = TableColumn(name="a", kind="categorical", categories=categories)
    wanted = column.code(value, unseen=False)

    check_code(value, categories, wanted, "unknown category")


@pytest.mark.parametrize(
    "value",
    [
        *(3, 2.5, -0.0, 2**60, math.inf, 10**400, None, math.nan, True, False),
        *("3", " 2.5 ", "-1e3", "1e999", "0x1", "1_0", "infinity", "3,5", "82 kg", "x"),
        *sorted(_MISSING_NUMBERS),
        *("NaN", " Unknown ", "\u00a0", "--", "TRUE"),
    ],
)
def test_a_frame_has_the_numbers_that_the_service_reads(value: Any) -> None:
    """Of the same cell in JSON: texts of numbers too, and no truth values."""
    column = TableColumn(name="a", kind="numeric", resolution=0.1)
    wanted = None if value == 10**400 else column.code(value, unseen=False)

    check_code(value, None, wanted, "row 0, column 'a': expected a finite")


def test_an_unseen_category_has_a_code_where_it_has_a_probability() -> None:
    """As in the service: in categorical columns, and only if that is asked for."""
    table = {
        "columns": [
            {"name": "size", "kind": "numeric"},
            {"name": "group", "kind": "categorical"},
            {"name": "flag", "kind": "binary"},
        ]
    }
    frame = Frame(size=[1], group=["new"], flag=[True])

    codes = frames.array("x", frame, NAMES, TABLE, (), cells.with_unseen(table))

    assert cells.with_unseen(table) == ["group"]
    assert codes.tolist() == [[1, 3, 1]]
    assert frames.from_rows(codes, NAMES, dict, TABLE)["group"] == [None]
    with pytest.raises(ValueError, match="unknown category"):
        frames.array("x", frame, NAMES, TABLE)


def test_frames_of_words_become_codes_and_come_back() -> None:
    """By the names of the columns; one that training left out is not read."""
    frame = Frame(
        flag=[True, None], size=[1.5, math.nan], group=["c", "a"], id=["p1", "p2"]
    )

    codes = frames.array("x", frame, NAMES, TABLE, ("id",))
    back = frames.from_rows(codes, NAMES, dict, TABLE)

    assert np.array_equal(codes, [[1.5, 2, 1], [math.nan, 0, math.nan]], equal_nan=True)
    assert back["group"] == ["c", "a"]
    assert back["flag"] == [True, None]
    assert np.array_equal(back["size"], [1.5, math.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("library", "kinds"),
    [
        ("pandas", ["float64", "int64", "bool"]),
        ("polars", ["Float64", "Int64", "Boolean"]),
    ],
)
def test_columns_of_categories_have_their_types_in_frames(
    library: str, kinds: list[str]
) -> None:
    """Not one of objects, which files and queries of polars do not take."""
    make = pytest.importorskip(library).DataFrame
    table = {"size": None, "group": [2007, 2008], "flag": [False, True]}
    codes = np.array([[1.5, 1, 0], [2.5, 0, 1]])

    frame = frames.from_rows(codes, NAMES, make, table)

    assert [str(frame[name].dtype) for name in NAMES] == kinds


def test_a_column_that_is_absent_is_missing_with_a_warning() -> None:
    """Of a table of mixed kinds; other models need every column."""
    frame = Frame(size=[1.5], flag=[True])

    with pytest.warns(UserWarning, match="x has no column group: taken as missing"):
        codes = frames.array("x", frame, NAMES, TABLE)

    assert np.array_equal(codes, [[1.5, math.nan, 1]], equal_nan=True)
    with pytest.raises(ValueError, match="got none of group"):
        frames.array("x", frame, NAMES)


def test_the_warning_names_the_line_of_the_caller() -> None:
    """Not one of this package, which a caller cannot change."""
    with pytest.warns(UserWarning, match="taken as missing") as warned:
        frames.array("x", Frame(size=[1.5]), NAMES, TABLE)

    assert warned[0].filename == __file__


def test_a_column_with_a_typo_is_an_error_that_names_the_one_meant() -> None:
    """It is refused before anything is said to be missing."""
    frame = Frame(size=[1.5], flag=[True], gruop=["a"])

    with pytest.raises(ValueError, match="got others: gruop; did you mean group"):
        frames.array("x", frame, NAMES, TABLE)
