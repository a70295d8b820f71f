"""How the rows of one array look on the wire, and the errors that say so."""

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
# Of more values BLAS shares the work between threads, and waits milliseconds for them
# on a busy machine.
_MOST_FOR_BLAS = 8192


@final
class Rows(NamedTuple):
    """
    Rows of a request, (N, D).

    Attributes:
        shaped: Whether they came as [N, *shape].
        pointers: JSON pointers to rows that did not come as numbers.
    """

    values: Array
    shaped: bool
    pointers: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Layout:
    """
    The array a request brings: its name, the shape of one row, how many rows at most.

    A row is accepted flat, [N, D], or in its shape, [N, *shape].
    """

    name: str
    shape: tuple[int, ...]
    max_rows: int

    @cached_property
    def dim(self) -> int:
        """D, the number of values of one row."""
        return prod(self.shape)

    @cached_property
    def wanted(self) -> str:
        """The accepted shapes, in words."""
        flat = f"[N, {self.dim}]"
        if len(self.shape) == 1:
            return flat
        return f"{flat} or [N, {', '.join(map(str, self.shape))}]"

    def pointer(self, *index: int) -> str:
        """Return the JSON pointer of an element of the array as it came."""
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
            UnprocessableError: There is none.
            ContentTooLargeError: There are too many.
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
        Round to float32, (N, D), and check that every value is finite then.

        Args:
            values: Contiguous, float32 or wider.
            first_row: The number of the first row in what the client sent.

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
            values: One after another, those from number `first` on.

        Raises:
            UnprocessableError: One is not finite or too large.
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
    """Say whether all values are finite as float32; `values` are that or wider."""
    if values.size > _MOST_FOR_BLAS:
        return bool(values.max() <= LARGEST and values.min() >= -LARGEST)  # not of NaN
    # A value that is not makes its square, and the sum, too large or NaN: one quick
    # pass. Many large values may do so too, which the closer look settles.
    if float(np.vdot(values, values)) <= _LARGEST_SQUARE:
        return True
    return first_outside(values.reshape(-1)) == values.size


def first_outside(values: NDArray[np.floating]) -> int:
    """Return the index of the first value that is not finite as float32, or their n."""
    for start in range(0, len(values), _BLOCK):  # memory for a block, not for all
        within = np.abs(values[start : start + _BLOCK]) <= LARGEST  # false for NaN
        if not within.all():
            return start + int(np.argmin(within))
    return len(values)
