"""JSON arrays of numbers through simdjson, whole ones and parts of longer ones."""

from typing import Any, final

import numpy as np
import simdjson
from numpy.typing import NDArray

from app.wire.body import Body
from app.wire.layout import Layout, Rows

_BRACKET = np.uint8(ord("["))
_FAR_APART = 1000  # bytes; then searching for brackets beats comparing every byte
_REFUSALS = (ValueError, TypeError, RuntimeError, KeyError)  # all that simdjson raises


@final
class RefusedError(ValueError):
    """A text is no array of an accepted shape, or has numbers that need longer."""


@final
class Arrays:
    """Reads JSON arrays of one layout; for one thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._parser = simdjson.Parser()

    def rows(self, body: Body, start: int, stop: int, *, first_row: int = 0) -> Rows:
        """
        Return the rows of the JSON array in [start, stop) of a body.

        Raises:
            RefusedError: It needs a closer look.
            UnprocessableError: A value is not finite.
            ContentTooLargeError: It has too many rows.
        """
        try:
            array: Any = self._parser.parse(memoryview(body)[start:stop])
            values = _flattened(array)
            shaped = self._check_shape(array, body, start, stop)
        except _REFUSALS as error:
            self._parser = simdjson.Parser()
            raise RefusedError from error
        self._layout.check_n_rows(len(array))
        return self._layout.to_rows(values, shaped=shaped, first_row=first_row)

    def values(self, text: bytes) -> NDArray[np.float64]:
        """
        Return the numbers of a JSON array, however they are nested.

        Raises:
            RefusedError: It has something else than numbers, or is no JSON.
        """
        try:
            return _flattened(self._parser.parse(text))
        except _REFUSALS as error:
            self._parser = simdjson.Parser()
            raise RefusedError from error

    def _check_shape(
        self, array: simdjson.Array, body: Body, start: int, stop: int
    ) -> bool:
        """
        Check that an array of numbers has an accepted shape; say whether it is shaped.

        Each array down to the last dimension must have its length. If its text holds
        no more arrays than those, the innermost hold only numbers.
        """
        n, shape = len(array), self._layout.shape
        flat, n_arrays = (self._layout.dim,), 1 + n * _n_arrays(shape)
        if _has_shape(array, flat) and _n_brackets(body, start, stop, 1 + n) == 1 + n:
            return False
        if _n_brackets(body, start, stop, n_arrays) == n_arrays and _has_shape(
            array, shape
        ):
            return True
        raise RefusedError


def _flattened(array: Any) -> NDArray[np.float64]:
    if not isinstance(array, simdjson.Array):
        raise RefusedError
    # Flattens nested arrays; refuses strings, booleans, null and objects.
    return np.frombuffer(array.as_buffer(of_type="d"), np.float64)


def _n_brackets(body: Body, start: int, stop: int, most: int) -> int:
    """Return how many arrays a text opens; of more than `most`, that there are more."""
    if stop - start < most * _FAR_APART:
        text = np.frombuffer(body, np.uint8)[start:stop]
        return int(np.count_nonzero(text == _BRACKET))
    n, position = 0, body.find(b"[", start, stop)
    while position >= 0 and n <= most:
        n, position = n + 1, body.find(b"[", position + 1, stop)
    return n


def _n_arrays(shape: tuple[int, ...]) -> int:
    """Return how many arrays one row of this shape is written with."""
    return 1 if len(shape) == 1 else 1 + shape[0] * _n_arrays(shape[1:])


def _has_shape(array: simdjson.Array, shape: tuple[int, ...]) -> bool:
    """Say whether every element of an array is an array of this shape."""
    row: Any  # of a number, len() is a TypeError
    for row in array:
        if len(row) != shape[0] or (len(shape) > 1 and not _has_shape(row, shape[1:])):
            return False
    return True
