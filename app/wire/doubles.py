"""
Parses JSON arrays of numbers into doubles.

simdjson does it where it is installed; elsewhere orjson, which takes four times as long
with the same result. simdjson has no wheels for Python 3.14, where installing it needs
a C++ compiler.
"""

from collections.abc import Iterator
from typing import Any, Literal, Protocol, final

import numpy as np
import orjson
from numpy.typing import NDArray

try:
    import simdjson
except ImportError:  # Python 3.14, see above
    simdjson = None  # type: ignore[assignment]

# All that either parser raises for a text that is not valid, or has other values.
REFUSALS = (ValueError, TypeError, RuntimeError, KeyError)
_NUMBERS = {int, float}  # bool is a type of its own


class NumberArray(Protocol):
    """A JSON array: its elements, and all numbers in it as doubles."""

    def __len__(self) -> int:
        """Return the number of elements."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the elements; arrays among them are of this kind."""

    def as_buffer(self, *, of_type: Literal["d"]) -> Any:
        """
        Return the numbers of this array and of those in it as a buffer of doubles.

        Raises:
            ValueError, TypeError, RuntimeError: There is another value in it.
        """


class Parser(Protocol):
    """Parses one text at a time; not thread-safe."""

    def parse(self, text: bytes | memoryview) -> Any:
        """
        Return a value; an array as a `NumberArray`, valid until the next text.

        Raises:
            ValueError, RuntimeError, KeyError: The text is not valid JSON.
        """


@final
class OrjsonArray:
    """A `NumberArray` that orjson has parsed."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the elements."""
        return map(_value, self._values)

    def as_buffer(self, *, of_type: Literal["d"]) -> NDArray[np.float64]:
        """
        Return all numbers as doubles.

        Raises:
            TypeError: There is another value.
        """
        parts = [*_doubles(self._values)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0)])


@final
class OrjsonParser:
    """A `Parser` that uses orjson."""

    def parse(self, text: bytes | memoryview) -> Any:
        """
        Return a value, an array as an `OrjsonArray`.

        Raises:
            ValueError: The text is not valid JSON.
        """
        return _value(orjson.loads(text))


def _value(parsed: Any) -> Any:
    return OrjsonArray(parsed) if type(parsed) is list else parsed


def _doubles(values: list[Any]) -> Iterator[NDArray[np.float64]]:
    """Yield the numbers of the innermost arrays."""
    kinds = set(map(type, values))
    if kinds == {list}:
        for inner in values:
            yield from _doubles(inner)
    elif kinds <= _NUMBERS:
        yield np.array(values, np.float64)
    else:
        raise TypeError("expected only numbers, or only arrays")


HAS_SIMDJSON = simdjson is not None
ARRAY: Any = simdjson.Array if HAS_SIMDJSON else OrjsonArray
# What is parsed in a quarter of a millisecond, at 1 GB/s or a quarter of that.
PIECE_BYTES = 1 << 18 if HAS_SIMDJSON else 1 << 16


def parser() -> Parser:
    """Return a new parser."""
    return simdjson.Parser() if HAS_SIMDJSON else OrjsonParser()
