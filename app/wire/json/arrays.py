"""Parses JSON arrays of numbers, or parts of longer ones."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from app.wire import doubles
from app.wire.body import Body
from app.wire.doubles import NumberArray
from app.wire.layout import Layout, Rows

_BRACKET = np.uint8(ord("["))
# Bytes between brackets above which searching for them beats comparing every byte.
_FAR_APART = 1000


@final
class RefusedError(ValueError):
    """A text is not an array of an accepted shape, or needs the slow parser."""


@final
class Arrays:
    """Parses JSON arrays of one layout; not thread-safe."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._n_arrays = _n_arrays(layout.shape)  # of a row
        self._parser = doubles.parser()

    def rows(self, body: Body, start: int, stop: int, *, first_row: int = 0) -> Rows:
        """
        Return the rows of the JSON array in [start, stop) of a body.

        Raises:
            RefusedError: It is invalid, or needs the slow parser.
            UnprocessableError: A value is not finite.
            ContentTooLargeError: It has too many rows.
        """
        try:
            array: Any = self._parser.parse(memoryview(body)[start:stop])
            values = _flatten(array)
            shaped = self._check_shape(array, body, start, stop)
        except doubles.REFUSALS as error:
            self._parser = doubles.parser()
            raise RefusedError from error
        self._layout.check_n_rows(len(array))
        return self._layout.rows_of(values, shaped=shaped, first_row=first_row)

    def values(self, text: bytes) -> NDArray[np.float64]:
        """
        Return the numbers of a JSON array, flattened.

        Raises:
            RefusedError: It contains other values than numbers, or is not JSON.
        """
        try:
            return _flatten(self._parser.parse(text))
        except doubles.REFUSALS as error:
            self._parser = doubles.parser()
            raise RefusedError from error

    def _check_shape(
        self, array: NumberArray, body: Body, start: int, stop: int
    ) -> bool:
        """
        Check that an array of numbers has an accepted shape; return if it is shaped.

        Each array down to the last dimension must have its length. If the text contains
        no more arrays than those, the innermost ones contain only numbers.
        """
        n, shape = len(array), self._layout.shape
        flat, n_arrays = (self._layout.dim,), 1 + n * self._n_arrays
        if _has_shape(array, flat) and _n_brackets(body, start, stop, 1 + n) == 1 + n:
            return False
        if _n_brackets(body, start, stop, n_arrays) == n_arrays and _has_shape(
            array, shape
        ):
            return True
        raise RefusedError


def _flatten(array: Any) -> NDArray[np.float64]:
    if not isinstance(array, doubles.ARRAY):
        raise RefusedError
    # Flattens nested arrays; refuses strings, booleans, null and objects.
    return np.frombuffer(array.as_buffer(of_type="d"), np.float64)


def _n_brackets(body: Body, start: int, stop: int, limit: int) -> int:
    """Count opening brackets in a text; stop counting above `limit`."""
    if stop - start < limit * _FAR_APART:
        text = np.frombuffer(body, np.uint8)[start:stop]
        return int(np.count_nonzero(text == _BRACKET))
    n, position = 0, body.find(b"[", start, stop)
    while position >= 0 and n <= limit:
        n, position = n + 1, body.find(b"[", position + 1, stop)
    return n


def _n_arrays(shape: tuple[int, ...]) -> int:
    """Return the number of JSON arrays in one row of this shape."""
    return 1 if len(shape) == 1 else 1 + shape[0] * _n_arrays(shape[1:])


def _has_shape(array: NumberArray, shape: tuple[int, ...]) -> bool:
    """Return whether every element of an array is an array of this shape."""
    row: Any  # len() of a number raises TypeError
    for row in array:
        if len(row) != shape[0] or (len(shape) > 1 and not _has_shape(row, shape[1:])):
            return False
    return True
