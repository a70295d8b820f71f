"""Data frames: their columns are put in the model's order, or refused."""

import math
from collections.abc import Sequence
from decimal import Decimal
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vae_client import frames

COLUMNS = ("a", "b", "c")


class Frame:
    """What the client needs of a data frame."""

    def __init__(self, **columns: Any) -> None:
        self.data = columns
        self.index: Any = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.data)

    def __getitem__(self, key: str) -> Any:
        return np.asarray(self.data[key])


def frame(library: str, **columns: Any) -> Any:
    """Return a frame of a library."""
    if library == "none":
        return Frame(**columns)
    module = pytest.importorskip(library)
    if library == "pyarrow":
        return module.table({name: list(values) for name, values in columns.items()})
    return module.DataFrame(columns)


@pytest.mark.parametrize("library", ["none", "pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("order", ["abc", "cab", "bca"])
def test_columns_are_put_in_the_order_of_the_model(library: str, order: str) -> None:
    """Whatever the order of the frame, and whatever the library."""
    columns: dict[str, Any] = {"a": [1.5, 2.5], "b": [3, 4], "c": [True, False]}

    x = frames.array("x", frame(library, **{n: columns[n] for n in order}), COLUMNS)

    assert x.tolist() == [[1.5, 3, 1], [2.5, 4, 0]]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_a_common_dtype_stays(dtype: str) -> None:
    """The service knows what it means."""
    values = np.ones(2, dtype)

    x = frames.array("x", Frame(a=values, b=values, c=values), COLUMNS)

    assert x.dtype == dtype


@pytest.mark.parametrize(
    ("names", "got"),
    [
        ("ab", "got none of c; add what is absent"),
        ("abcd", "got others: d; choose them with x[list(vae.model().columns)]"),
        ("abC", "got others: C; did you mean c?"),
        ("abz", "got others: z; rename or drop them; it lacks c"),
        ("", "got none of a, b, c; add what is absent"),
        (
            [("top", "a"), ("top", "b")],
            "('top', 'a'), ('top', 'b'); give its columns one level of names",
        ),
    ],
)
def test_other_columns_are_refused(names: Sequence[Any], got: str) -> None:
    """Missing and further ones are named, with what to do."""
    frame = Frame()
    frame.data = {key: [1] for key in names}

    with pytest.raises(
        ValueError, match=r"x with the model's columns a, b, c"
    ) as error:
        frames.array("x", frame, COLUMNS)

    assert got in str(error.value)


@pytest.mark.parametrize("categories", [None, {"a": None, "b": None, "c": None}])
def test_a_column_that_pandas_has_as_its_index_is_refused(categories: Any) -> None:
    """It would else be taken as missing in a table, where a column may be absent."""
    frame = Frame(a=[1], b=[2])
    frame.index = SimpleNamespace(names=[None, "c"])

    with pytest.raises(
        ValueError, match=r"got c as its index; pass x\.reset_index\(\)"
    ):
        frames.array("x", frame, COLUMNS, categories)


def test_a_query_is_refused_before_it_runs() -> None:
    """To ask a LazyFrame of polars for its columns takes time, which it warns of."""

    class LazyFrame:
        @property
        def columns(self) -> list[str]:
            raise AssertionError

    assert frames.is_frame(LazyFrame())
    with pytest.raises(TypeError, match=r"got a LazyFrame; pass x\.collect\(\)"):
        frames.array("x", LazyFrame(), COLUMNS)


@pytest.mark.parametrize("categories", [None, {"a": None}])
@pytest.mark.parametrize(
    ("column", "shape"), [(object(), r"\(\)"), ([[1, 2]], r"\(1, 2\)")]
)
def test_a_column_without_one_value_a_row_is_refused(
    categories: Any, column: Any, shape: str
) -> None:
    """As in frames that are not in memory, of whose columns numpy makes one object."""
    with pytest.raises(TypeError, match=rf"got the shape {shape} in column 'a'"):
        frames.array("x", Frame(a=column), ("a",), categories)


@pytest.mark.parametrize("kind", ["M8[ns]", "m8[ns]", "M8[D]"])
def test_times_are_no_numbers(kind: str) -> None:
    """As objects, those in nanoseconds are integers."""
    frame = Frame(a=np.array([1, 2], kind))

    with pytest.raises(TypeError, match="expected x of numbers, got dtype"):
        frames.array("x", frame, ("a",))
    with pytest.raises(ValueError, match="row 0, column 'a': expected a finite number"):
        frames.array("x", frame, ("a",), {"a": None})


def test_numbers_that_no_message_can_hold_become_doubles() -> None:
    """Long doubles of numpy, and integers of 128 bits of polars."""
    x = frames.array("x", Frame(a=np.array([1.5], np.longdouble)), ("a",))

    assert x.dtype == np.float64
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"a": [3, None]}).cast(polars.Int128)
    of_a_table: dict[str, None] = {"a": None}
    for categories in (None, of_a_table):
        x = frames.array("x", table, ("a",), categories)
        np.testing.assert_array_equal(x, [[3.0], [math.nan]])


def test_a_frame_is_refused_where_the_model_has_no_names() -> None:
    """Its order could not be compared with anything."""
    with pytest.raises(ValueError, match="the model has none"):
        frames.array("x", Frame(a=[1]), None)


@pytest.mark.parametrize(
    ("values", "got"),
    [
        (["x", "y"], "'x' in column 'b', row 0; make it a number"),
        (np.array([None, "1"]), "'1' in column 'b', row 1; make it a number"),
        ([1j, 2], "dtype complex128 in column 'b'; make numbers of it"),
    ],
)
def test_a_column_without_numbers_is_named(values: Any, got: str) -> None:
    """Texts are no numbers."""
    with pytest.raises(TypeError, match=f"expected x of numbers, got {got}"):
        frames.array("x", Frame(a=[1, 2], b=values, c=[1, 2]), COLUMNS)


@pytest.mark.parametrize(
    "values", [[None, 1], [None, Decimal(1)], [math.nan, 1], [None, True]]
)
def test_a_missing_number_is_nan(values: list[Any]) -> None:
    """Which `impute` fills; databases have None, and decimals."""
    x = frames.array("x", Frame(a=[1, 2], b=values, c=[1, 2]), COLUMNS)

    assert np.array_equal(x, np.array([[1, np.nan, 1], [2, 1, 2]]), equal_nan=True)


def test_cells_that_an_arrow_dictionary_lacks_are_missing() -> None:
    """As in files that pandas has written; numpy would read its first word there."""
    arrow = pytest.importorskip("pyarrow")
    words = arrow.array(["y", None, "x", None]).dictionary_encode()
    numbers = arrow.array([2.5, None, None, 1]).dictionary_encode()
    table = arrow.table({"a": words, "b": numbers})

    codes = frames.array("x", table, ("a", "b"), {"a": ["x", "y"], "b": None})
    plain = frames.array("x", table.select(["b"]), ("b",))

    nan = math.nan
    wanted = np.array([[1, 2.5], [nan, nan], [0, nan], [nan, 1]])
    assert np.array_equal(codes, wanted, equal_nan=True)
    assert np.array_equal(plain, wanted[:, 1:], equal_nan=True)


@pytest.mark.parametrize("categories", [None, {"a": None, "b": None, "c": None}])
def test_a_mask_has_the_columns_of_x(categories: Any) -> None:
    """In the model's order; a table need not have all, and may have others."""
    of_table = {"b": [1, 0], "id": [1, 1], "a": [True, True]}
    given = {"c": [0, 0], "b": [1, 0], "a": [1, 1]} if categories is None else of_table

    if categories is None:
        mask = frames.mask(Frame(**given), COLUMNS, categories, ())
    else:
        with pytest.warns(UserWarning, match="mask has no column c"):
            mask = frames.mask(Frame(**given), COLUMNS, categories, ("id",))

    assert mask.tolist() == [[1, 1, 0], [1, 0, 0]]


def test_names_that_are_numbers_are_those_of_a_file() -> None:
    """Pandas numbers columns from 0; a file has the digits."""
    if find_spec("pandas") is None:
        pytest.skip("pandas is absent")
    frame = pytest.importorskip("pandas").DataFrame(np.array([[1, 2], [3, 4]]))

    assert frames.array("x", frame, ("1", "0")).tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize("values", [[[1.0]], np.ones((1, 1)), 3, None, "columns"])
def test_arrays_are_no_frames(values: object) -> None:
    """They go as they are."""
    assert not frames.is_frame(values)


@pytest.mark.parametrize("library", ["none", "pandas", "polars", "pyarrow"])
def test_rows_become_frames_with_the_names_of_the_columns(library: str) -> None:
    """Of any library that makes them of arrays by name; draws are rows."""
    draws = np.arange(12, dtype=np.float64).reshape(2, 2, 3)

    table = frames.from_rows(draws, COLUMNS, lambda columns: frame(library, **columns))

    assert frames.array("x", table, COLUMNS).tolist() == draws.reshape(4, 3).tolist()


@pytest.mark.parametrize(
    ("rows", "columns", "what"),
    [
        (np.zeros((2, 3)), None, "this one has none"),
        (np.zeros((2, 2)), COLUMNS, r"\(\.\.\., 3\), got \[2, 2\]"),
        (np.zeros(3), COLUMNS, r"got \[3\]"),
    ],
)
def test_rows_of_other_columns_do_not_become_frames(
    rows: Any, columns: Any, what: str
) -> None:
    """Their names would be wrong."""
    with pytest.raises(ValueError, match=what):
        frames.from_rows(rows, columns, dict)
