"""Data frames: their columns are put in the model's order, or refused."""

import math
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from vae_client import frames

COLUMNS = ("a", "b", "c")


class Frame:
    """What the client needs of a data frame."""

    def __init__(self, **columns: Any) -> None:
        self.data = columns

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
    ("columns", "got"),
    [
        ({"a": [1], "b": [2]}, "got none of c;"),
        ({"a": [1], "b": [2], "c": [3], "d": [4]}, "got others: d;"),
    ],
)
def test_other_columns_are_refused(columns: dict[str, list[int]], got: str) -> None:
    """Missing and further ones are named, with what to do."""
    with pytest.raises(
        ValueError, match=r"x with the model's columns a, b, c"
    ) as error:
        frames.array("x", Frame(**columns), COLUMNS)

    assert got in str(error.value)
    assert "x[list(vae.model().columns)]" in str(error.value)


def test_a_frame_is_refused_where_the_model_has_no_names() -> None:
    """Its order could not be compared with anything."""
    with pytest.raises(ValueError, match="the model has none"):
        frames.array("x", Frame(a=[1]), None)


@pytest.mark.parametrize("values", [["x", "y"], ["1", None], [[1, 2], [3, 4]]])
def test_a_column_without_numbers_is_named(values: list[Any]) -> None:
    """Texts are no numbers."""
    with pytest.raises(TypeError, match="in column 'b'"):
        frames.array("x", Frame(a=[1, 2], b=values, c=[1, 2]), COLUMNS)


@pytest.mark.parametrize("values", [[None, 1], [None, Decimal(1)], [math.nan, 1]])
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
