"""Checks and conversions of what a caller passes to a method."""

from collections.abc import Mapping, Sequence
from operator import index
from secrets import randbits
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

OptionValue = bool | int | float | str | None
# As many as the service itself draws: integers that JavaScript's numbers can hold.
_SEED_BITS = 53
_LONGEST = 8  # bytes of a number that the service reads


def array(name: str, values: ArrayLike) -> NDArray[Any]:
    """
    Return an array as it is, in C order: the service knows what its dtype means.

    Numbers without a dtype, such as those of a list, become float64, as in JSON.

    Raises:
        TypeError: They are not numbers.
        ValueError: They are a single number, not an array, or some are masked.
    """
    if _is_masked(values):
        raise ValueError(
            f"expected {name} without masked cells; impute takes those of x as "
            "impute(x.data, ~np.ma.getmaskarray(x))"
        )
    array = _read(name, values)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"expected {name} of numbers, got dtype {array.dtype}; a missing number is "
            "NaN, and words, or rows by name, are passed as a data frame"
        )
    if array.ndim == 0:
        raise ValueError(f"expected {name} with a row for each example, got one number")
    dtype = array.dtype.newbyteorder("=")
    if dtype.itemsize > _LONGEST or (dtype.kind != "b" and not _has_dtype(values)):
        dtype = np.dtype(np.float64)
    return np.ascontiguousarray(array, dtype=dtype)


def mask_array(mask: ArrayLike) -> NDArray[Any]:
    """Return a mask of booleans or of 0 and 1; the service refuses other numbers."""
    values = _read("mask", mask)
    if values.dtype.kind == "b":
        return np.ascontiguousarray(values)
    return array("mask", values)


def _read(name: str, values: ArrayLike) -> NDArray[Any]:
    """
    Return an array of any dtype.

    Raises:
        ValueError: Its rows have different lengths.
    """
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"expected {name} as an array, or as lists of equal length; numpy says: "
            f"{error}"
        ) from error


def _is_masked(values: object) -> bool:
    """Return whether cells of an array, or of a list of arrays, are masked."""
    if isinstance(values, list | tuple):
        are_rows = values and isinstance(values[0], list | tuple | np.ndarray)
        return bool(are_rows) and any(map(_is_masked, values))
    return np.ma.is_masked(values)


def _has_dtype(values: object) -> bool:
    """Return whether values are an array of some library, or a list of such."""
    while isinstance(values, list | tuple) and values:
        values = values[0]
    has = ("dtype", "__array__", "__array_interface__")  # the last is of pictures
    return any(hasattr(values, name) for name in has)


def seed_or_random(seed: int | None) -> int:
    """Return the seed, or a random one where there is none."""
    return randbits(_SEED_BITS) if seed is None else index(seed)


def dims_text(dims: Sequence[int] | None) -> str | None:
    """Return dimensions as the service wants them in a query: 0,3,7."""
    return None if dims is None else ",".join(str(index(dim)) for dim in dims)


def query(options: Mapping[str, OptionValue]) -> tuple[tuple[str, str], ...]:
    """Return options as query parameters, without those that are None."""
    return tuple(
        (name, _text(value)) for name, value in options.items() if value is not None
    )


def _text(value: object) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else repr(value)
