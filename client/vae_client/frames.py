"""Data frames of pandas, polars and the like: to arrays by name, and from them."""

import inspect
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vae_client import cells

Frame = TypeVar("Frame")
Categories = Mapping[str, Sequence[Any] | None]

_LISTED = 8
_PACKAGE = __name__.partition(".")[0]


def is_frame(values: object) -> bool:
    """Return whether values have names of columns."""
    return hasattr(values, "columns") and not isinstance(values, np.ndarray)


def array(
    name: str,
    frame: Any,
    columns: Sequence[str] | None,
    categories: Categories | None = None,
    left_out: Collection[str] = (),
    unseen: Collection[str] = (),
) -> NDArray[Any]:
    """
    Return the columns of a frame in the order of the model's, (N, D).

    Args:
        categories: Those of each column of a table of mixed kinds, None for numbers.
            Its cells become codes; missing cells, and columns, become NaN.
        left_out: Columns that training left out, which are not read.
        unseen: Columns whose unknown categories get the code of an unseen one.

    Raises:
        ValueError: Its columns are not those of the model, whatever their order, or a
            cell is none of its column.
        TypeError: A column does not hold numbers.
    """
    if columns is None:
        raise ValueError(
            f"expected {name} without names of columns: the model has none. Pass an "
            "array, such as x.to_numpy(), with the columns in the order of the training"
        )
    keys = {str(key): key for key in _keys(frame) if str(key) not in left_out}
    counts = Counter(map(str, _keys(frame)))
    twice = [key for key, n in counts.items() if n > 1]
    missing = [column for column in columns if column not in keys]
    are_gaps = categories is not None and len(missing) < len(columns)
    others = [key for key in keys if key not in columns]
    for words, found in (
        ("twice", twice),
        ("others:", others),
        ("none of", [] if are_gaps else missing),
    ):
        if found:
            raise ValueError(
                f"expected {name} with the model's columns {_listed(columns)}, got "
                f"{words} {_listed(found)}; {_next_step(found[0], missing)}"
            )
    if are_gaps and missing:
        what = f"{name} has no column {_listed(missing)}: taken as missing"
        warnings.warn(what, stacklevel=_depth_of_caller())
    if categories is None:
        numbers = [_numbers(name, frame, keys[column]) for column in columns]
        return np.column_stack(numbers)
    return _codes(frame, keys, columns, categories, unseen)


def mask(
    frame: Any,
    columns: Sequence[str] | None,
    categories: Categories | None,
    left_out: Collection[str],
) -> NDArray[Any]:
    """Return a mask as `array` does; columns that a table does not have are unknown."""
    if columns is None or categories is None:
        return array("mask", frame, columns)
    numbers = dict.fromkeys(columns)
    values = array("mask", frame, columns, numbers, left_out)
    names = set(map(str, _keys(frame)))
    values[:, [column not in names for column in columns]] = 0
    return values


def from_rows(
    rows: NDArray[Any],
    columns: Sequence[str] | None,
    make: Callable[[dict[str, NDArray[Any]]], Frame],
    categories: Categories | None = None,
) -> Frame:
    """
    Return rows of data, (..., D), as a frame; the draws of a row become rows.

    Args:
        make: Makes a frame of arrays by name, such as `pandas.DataFrame`.
        categories: As in `array`: codes become cells.

    Raises:
        ValueError: The model has no names of columns, or another number of them.
    """
    if columns is None:
        raise ValueError("expected a model with names of columns, this one has none")
    if rows.ndim < 2 or rows.shape[-1] != len(columns):
        n, got = len(columns), list(rows.shape)
        raise ValueError(f"expected rows of data, (..., {n}), got {got}")
    by_column = rows.reshape(-1, len(columns)).T
    known = categories or {}
    named = zip(columns, by_column, strict=True)
    return make({one: cells.cells(v, known.get(one)) for one, v in named})


def _next_step(found: str, missing: Sequence[str]) -> str:
    """Return what to do about a column: the one that was probably meant, if any."""
    if found not in missing and (alike := get_close_matches(found, missing, 1)):
        return f"did you mean {alike[0]}?"
    return "choose them with x[list(vae.model().columns)]"


def _depth_of_caller() -> int:
    """Return how many functions of this package lie below the one that called it."""
    frame, depth = inspect.currentframe(), 0
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, depth = frame.f_back, depth + 1
    return depth


def _codes(
    frame: Any,
    keys: Mapping[str, Any],
    columns: Sequence[str],
    categories: Categories,
    unseen: Collection[str],
) -> NDArray[np.float64]:
    """Return the codes of cells, (N, D), NaN in columns that a frame does not have."""
    codes = {
        column: cells.codes(
            column,
            np.asarray(_column(frame, key), object),
            categories[column],
            float(len(categories[column] or ())) if column in unseen else None,
        )
        for column, key in keys.items()
    }
    n_rows = len(next(iter(codes.values())))
    absent = np.full(n_rows, np.nan)
    return np.column_stack([codes.get(column, absent) for column in columns])


def _keys(frame: Any) -> Sequence[Any]:
    # Tables of Arrow call the names `column_names`; their `columns` are the data.
    return list(getattr(frame, "column_names", frame.columns))


def _numbers(name: str, frame: Any, key: Any) -> NDArray[Any]:
    """Return a column of numbers, (N,)."""
    values = np.asarray(_column(frame, key))
    # Columns of decimals, and those of pandas that could have missing values.
    if values.dtype.kind == "O":
        with suppress(TypeError, ValueError):
            values = cells.codes(str(key), values, None)
    if values.dtype.kind not in "biuf" or values.ndim != 1:
        raise TypeError(
            f"expected {name} of numbers, got dtype {values.dtype} in column {key!r}"
        )
    return values


def _column(frame: Any, key: Any) -> Any:
    """
    Return a column in a form that numpy reads as it is.

    Of a column of Arrow with a dictionary, numpy would get the first word of the
    dictionary where cells are missing.
    """
    column = frame[key]
    is_dictionary = str(getattr(column, "type", "")).startswith("dictionary")
    return column.to_pylist() if is_dictionary else column


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
