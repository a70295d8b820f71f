"""Data frames of pandas, polars and the like: to arrays by name, and from them."""

import inspect
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vae_client import cells

Frame = TypeVar("Frame")
Categories = Mapping[str, Sequence[Any] | None]

_LISTED = 8
_LONGEST = 8  # bytes of a number that the service reads
_LONG_INTEGERS = ("Int128", "UInt128")  # of polars
_PACKAGE = __name__.partition(".")[0]


def is_frame(values: object) -> bool:
    """Return whether values have names of columns."""
    if isinstance(values, np.ndarray):
        return False
    return _is_lazy(values) or hasattr(values, "columns")


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
        TypeError: A column does not hold numbers, or the frame is not in memory.
    """
    keys = _keys_of(name, frame, columns, left_out, may_lack=categories is not None)
    if categories is None:
        numbers = {one: _numbers(name, frame, key) for one, key in keys.items()}
        return np.column_stack(list(numbers.values()))
    codes = {
        one: cells.codes(
            one,
            _objects(name, frame, key),
            categories[one],
            float(len(categories[one] or ())) if one in unseen else None,
        )
        for one, key in keys.items()
    }
    return _stack(codes, categories, absent=np.nan)


def mask(
    frame: Any,
    columns: Sequence[str] | None,
    categories: Categories | None,
    left_out: Collection[str],
) -> NDArray[Any]:
    """Return a mask as `array` does; columns that a table does not have are unknown."""
    may_lack = categories is not None
    keys = _keys_of("mask", frame, columns, left_out, may_lack=may_lack)
    known = {one: _numbers("mask", frame, key) for one, key in keys.items()}
    return _stack(known, columns or (), absent=0)


def from_rows(
    rows: NDArray[Any],
    columns: Sequence[str] | None,
    make: Callable[[dict[str, Any]], Frame],
    categories: Categories | None = None,
) -> Frame:
    """
    Return rows of data, (..., D), as a frame; the draws of a row become rows.

    Args:
        make: Makes a frame of columns by name, such as `pandas.DataFrame`.
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


def _keys_of(
    name: str,
    frame: Any,
    columns: Sequence[str] | None,
    left_out: Collection[str],
    *,
    may_lack: bool,
) -> dict[str, Any]:
    """
    Return the frame's key of each column of the model, in the model's order.

    Args:
        may_lack: Whether some columns may be absent, which is warned of.

    Raises:
        ValueError: The columns are not those of the model.
        TypeError: The frame is not in memory.
    """
    if columns is None:
        raise ValueError(
            f"expected {name} without names of columns: the model has none. Pass an "
            "array, such as x.to_numpy(), with the columns in the order of the training"
        )
    if _is_lazy(frame):
        raise TypeError(
            f"expected {name} as a data frame in memory, got a {type(frame).__name__}; "
            f"pass {name}.collect()"
        )
    found = _keys(frame)
    keys = {str(key): key for key in found if str(key) not in left_out}
    missing = [column for column in columns if column not in keys]
    is_gap = may_lack and len(missing) < len(columns)
    if fault := _fault_of_columns(frame, found, keys, columns, missing, is_gap=is_gap):
        raise ValueError(
            f"expected {name} with the model's columns {_listed(columns)}, got {fault}"
        )
    if missing:
        what = f"{name} has no column {_listed(missing)}: taken as missing"
        warnings.warn(what, stacklevel=_depth_of_caller())
    return {column: keys[column] for column in columns if column in keys}


def _fault_of_columns(
    frame: Any,
    found: Sequence[Any],
    keys: Collection[str],
    columns: Sequence[str],
    missing: Sequence[str],
    *,
    is_gap: bool,
) -> str | None:
    """Return what is wrong with the columns of a frame and what to do; None if fine."""
    index = [level for level in _index_names(frame) if level in missing]
    twice = [key for key, n in Counter(map(str, found)).items() if n > 1]
    others = [key for key in keys if key not in columns]
    if index:
        return f"{_listed(index)} as its index; pass x.reset_index()"
    if twice:
        return f"twice {_listed(twice)}; keep one of them"
    if others:
        return f"others: {_listed(others)}; {_next_step(found, others[0], missing)}"
    if missing and not is_gap:
        return f"none of {_listed(missing)}; add what is absent"
    return None


def _next_step(found: Sequence[Any], other: str, missing: Sequence[str]) -> str:
    """Return what to do about a column that the model does not have."""
    if all(isinstance(key, tuple) for key in found):
        return "give its columns one level of names"
    folded = {column.strip().casefold(): column for column in missing}
    if alike := get_close_matches(other.strip().casefold(), folded, 1):
        return f"did you mean {folded[alike[0]]}?"
    if missing:
        return f"rename or drop them; it lacks {_listed(missing)}"
    return "choose them with x[list(vae.model().columns)]"


def _index_names(frame: Any) -> Sequence[str]:
    """Return the names of the levels of an index, which pandas has."""
    return list(getattr(getattr(frame, "index", None), "names", ()))


def _stack(
    found: Mapping[str, NDArray[Any]], columns: Iterable[str], *, absent: float
) -> NDArray[Any]:
    """Return columns by name as an array, (N, D), with a value for absent ones."""
    n_rows = len(next(iter(found.values())))
    rest = np.full(n_rows, absent)
    return np.column_stack([found.get(column, rest) for column in columns])


def _depth_of_caller() -> int:
    """Return how many functions of this package lie below the one that called it."""
    frame, depth = inspect.currentframe(), 0
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, depth = frame.f_back, depth + 1
    return depth


def _keys(frame: Any) -> Sequence[Any]:
    # Tables of Arrow call the names `column_names`; their `columns` are the data.
    return list(getattr(frame, "column_names", frame.columns))


def _is_lazy(values: object) -> bool:
    """Return whether values are a query of polars; to ask for its names runs it."""
    return type(values).__name__ == "LazyFrame"


def _objects(name: str, frame: Any, key: Any) -> NDArray[Any]:
    """Return the cells of a column, (N,), as values of Python or of numpy."""
    column = _column(frame, key)
    values = np.asarray(column)
    # Of times in nanoseconds, objects would be integers.
    values = values if values.dtype.kind in "mM" else np.asarray(column, object)
    _check_is_column(name, key, values)
    return values


def _numbers(name: str, frame: Any, key: Any) -> NDArray[Any]:
    """Return a column of numbers, (N,)."""
    values = np.asarray(_column(frame, key))
    _check_is_column(name, key, values)
    if values.dtype.kind in "biuf":
        is_long = values.dtype.itemsize > _LONGEST
        return values.astype(np.float64) if is_long else values
    # Columns of decimals, and those of pandas that could have missing values.
    if values.dtype.kind in "OUT":
        return cells.numbers(name, str(key), values)
    raise TypeError(
        f"expected {name} of numbers, got dtype {values.dtype} in column {key!r}; "
        "make numbers of it"
    )


def _check_is_column(name: str, key: Any, values: NDArray[Any]) -> None:
    """
    Check that a column has one value a row.

    Raises:
        TypeError: It has several, or is nothing that numpy reads.
    """
    if values.ndim != 1:
        raise TypeError(
            f"expected {name} with one value a row, got the shape {values.shape} in "
            f"column {key!r}; pass a data frame in memory, or an array"
        )


def _column(frame: Any, key: Any) -> Any:
    """
    Return a column in a form that numpy reads as it is.

    Of a column of Arrow with a dictionary, numpy would get the first word of the
    dictionary where cells are missing, and of integers of 128 bits nothing.
    """
    column = frame[key]
    if str(getattr(column, "type", "")).startswith("dictionary"):
        return column.to_pylist()
    if str(getattr(column, "dtype", "")) in _LONG_INTEGERS:
        return column.to_list()
    return column


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
