"""The layout of one array in a request, with checks and their errors."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from app.errors import ContentTooLargeError, Fault, UnprocessableError, number

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# The largest double that rounds to a finite float32: below the midpoint to the next.
LARGEST = float(np.nextafter(float(np.finfo(np.float32).max) + 2.0**103, 0.0))
_LARGEST_SQUARE = LARGEST**2
_BLOCK = 1 << 16
# With more values BLAS uses several threads, and waits milliseconds for them on a busy
# machine.
MAX_FOR_BLAS = 8192


@final
class Rows(NamedTuple):
    """
    Rows of a request, (N, D).

    Attributes:
        shaped: Whether the client sent them as [N, *shape].
        pointers: JSON pointers to rows that were not sent as numbers.
    """

    values: Array
    shaped: bool
    pointers: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Layout:
    """
    The array of a request: its name, the shape of one row, the most rows.

    Rows are accepted flat, [N, D], or in their shape, [N, *shape].

    Attributes:
        columns: The names of the values of a row, by which JSON may give them; () if
            they have none.
    """

    name: str
    shape: tuple[int, ...]
    max_rows: int
    columns: tuple[str, ...] = ()

    @cached_property
    def dim(self) -> int:
        """D, the number of values in a row."""
        return prod(self.shape)

    @cached_property
    def wanted(self) -> str:
        """The accepted shapes, as text."""
        flat = f"[N, {self.dim}]"
        if len(self.shape) == 1:
            return flat
        return f"{flat} or [N, {', '.join(map(str, self.shape))}]"

    def pointer(self, *index: int) -> str:
        """Return the JSON pointer of an element of the array, as the client sent it."""
        return "/".join(["", self.name, *map(str, index)])

    def pointer_to(self, row: int, d: int, *, shaped: bool) -> str:
        """Return the JSON pointer of value `d` of a row."""
        if not shaped:
            return self.pointer(row, d)
        return self.pointer(row, *(int(i) for i in np.unravel_index(d, self.shape)))

    def check_n_rows(self, n: int) -> None:
        """
        Check the number of rows.

        Raises:
            UnprocessableError: There are no rows.
            ContentTooLargeError: There are too many rows.
        """
        if n == 0:
            raise UnprocessableError(
                Fault(self.pointer(), f"expected {self.wanted}, got no rows")
            )
        if n > self.max_rows:
            raise ContentTooLargeError(
                f"expected at most {self.max_rows} rows, got {n} or more"
            )

    def to_rows(
        self, values: NDArray[Any], *, shaped: bool, first_row: int = 0
    ) -> Rows:
        """
        Round to float32, (N, D), and check that every rounded value is finite.

        Args:
            values: Contiguous, float32 or wider.
            first_row: The position of the first row in the request.

        Raises:
            UnprocessableError: A value is not finite or too large for float32.
        """
        self.check_finite(values.reshape(-1), first_row * self.dim, shaped=shaped)
        rows = values.reshape(-1, self.dim)
        return Rows(rows.astype(np.float32, copy=False), shaped)

    def check_finite(
        self, values: NDArray[np.floating], first: int, *, shaped: bool
    ) -> None:
        """
        Check that values are finite as float32.

        Args:
            values: Flat.
            first: The position of the first value in the request.

        Raises:
            UnprocessableError: A value is not finite or too large.
        """
        if all_finite(values):
            return
        i = first_outside(values)
        row, d = divmod(first + i, self.dim)
        raise UnprocessableError(
            Fault(
                self.pointer_to(row, d, shaped=shaped),
                "expected a finite number that fits float32, "
                f"got {number(float(values[i]))}",
            )
        )


def all_finite(values: NDArray[np.floating]) -> bool:
    """Return whether all values, float32 or wider, are finite as float32."""
    if values.size > MAX_FOR_BLAS:
        # False for NaN.
        return bool(values.max() <= LARGEST and values.min() >= -LARGEST)
    # One fast pass: a value that is not finite makes the sum of squares too large or
    # NaN. So may many large values, hence the exact check after it.
    if float(np.vdot(values, values)) <= _LARGEST_SQUARE:
        return True
    return first_outside(values.reshape(-1)) == values.size


def first_outside(values: NDArray[np.floating]) -> int:
    """Return the index of the first value not finite as float32, or their number."""
    for start in range(0, len(values), _BLOCK):  # in blocks, to save memory
        within = np.abs(values[start : start + _BLOCK]) <= LARGEST  # false for NaN
        if not within.all():
            return start + int(np.argmin(within))
    return len(values)
