"""Labels of examples: integers, whole floats, text or one-hot rows -> classes."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.files import numerals
from model.files.contents import DataError

_LISTED = 8
_LONGEST = 40  # characters of a label


def classes(
    values: NDArray[Any], *, n: int, name: str
) -> tuple[NDArray[np.int64] | None, str | None]:
    """
    Return a class for each of n rows, and a sentence where they are not as stored.

    Labels are never trained on, so what is no labels is passed over and not refused.

    Args:
        name: The labels in the sentence, "'y' of x.npz".
    """
    try:
        return _classes(values, n, name)
    except DataError as error:
        return None, f"{name} is passed over: {error}"


def of_texts(
    cells: Sequence[str], *, name: str
) -> tuple[NDArray[np.int64] | None, str | None]:
    """Return classes of the cells of a column, as `classes` does."""
    values = np.array(cells)
    if all(map(numerals.is_integer, cells)):
        with suppress(OverflowError):  # larger ones stay texts
            values = values.astype(np.int64)
    return classes(values, n=len(values), name=name)


def _classes(
    values: NDArray[Any], n: int, name: str
) -> tuple[NDArray[np.int64], str | None]:
    wanted = f"expected a class for each of {n} rows"
    if values.ndim == 2 and values.shape[0] == n and values.shape[1] > 1:
        return _from_one_hot(values, f"{wanted}, or one-hot rows"), (
            f"the labels are those that the one-hot rows of {name} have"
        )
    if values.shape not in ((n,), (n, 1)):
        raise DataError(f"{wanted}, got shape {values.shape}")
    values = values.reshape(n)
    if values.dtype.kind in "US":
        return _from_texts(values, name)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{wanted}, got dtype {values.dtype}")
    labels = _whole(values)
    if labels is None:
        raise DataError(f"{wanted}, got numbers that are not whole, or 2^62 or more")
    return labels, None


def _whole(values: NDArray[Any]) -> NDArray[np.int64] | None:
    """Return whole numbers as integers, or None if some are not, or are too large."""
    if values.dtype.kind in "fu":
        inside = np.abs(values) < 2.0**62  # False for NaN
        if not (inside.all() and (values == np.floor(values)).all()):
            return None
    return values.astype(np.int64)


def _from_texts(values: NDArray[Any], name: str) -> tuple[NDArray[np.int64], str]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    texts, labels = np.unique(values, return_inverse=True)
    listed = ", ".join(f"{i} = {_shown(t)}" for i, t in enumerate(texts[:_LISTED]))
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return labels.astype(np.int64), f"the labels from {name}: {listed}{more}"


def _shown(text: str) -> str:
    """Return a label as text that a terminal can show."""
    short = str(text)[:_LONGEST]
    return short if short and short.isprintable() else repr(short)


def _from_one_hot(values: NDArray[Any], wanted: str) -> NDArray[np.int64]:
    is_number = values.dtype.kind in "biuf"
    if not is_number or not ((values == 0) | (values == 1)).all():
        raise DataError(f"{wanted}, got {values.dtype} of shape {values.shape}")
    if not (values.sum(axis=1) == 1).all():
        raise DataError(f"{wanted}, got rows with other than one 1")
    found: NDArray[np.int64] = values.argmax(axis=1).astype(np.int64)
    return found
