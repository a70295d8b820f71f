"""The layout of one array in a request, with checks and their errors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple, Never, final

import numpy as np
from numpy.typing import NDArray

from app.errors import ContentTooLargeError, Fault, UnprocessableError, number, refuse
from model.raw_values import PLAIN, FloatArray, RawValues, TwoReadingsError
from model.tables.schema import TableSchema
from model.units import Units

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# The largest double that rounds to a finite float32: below the midpoint to the next.
LARGEST = float(np.nextafter(float(np.finfo(np.float32).max) + 2.0**103, 0.0))
_LARGEST_SQUARE = LARGEST**2
_LARGEST_DOUBLE = float(np.finfo(np.float64).max)
_BLOCK = 1 << 16
# With more values BLAS uses several threads, and waits milliseconds for them on a busy
# machine.
MAX_FOR_BLAS = 8192


@final
class Rows(NamedTuple):
    """
    Rows of a request, (N, D).

    Attributes:
        values: In the model's units.
        shaped: Whether the client sent them as [N, *shape].
        pointers: JSON pointers to rows that were not sent as numbers.
        pointer_to: Returns the JSON pointer of value `d` of a row, given both, if rows
            came with the names of columns.
        absent: Columns that did not come, whose values are missing.
        unknown: Where categories are unknown, whose codes are those of unseen ones.
    """

    values: Array
    shaped: bool
    pointers: tuple[str, ...] = ()
    pointer_to: Callable[[int, int], str] | None = None
    absent: tuple[str, ...] = ()
    unknown: tuple[Fault, ...] = ()


@final
@dataclass(frozen=True)
class Layout:
    """
    The array of a request: its name, the shape of one row, the most rows, its values.

    Rows are accepted flat, [N, D], or in their shape, [N, *shape].

    Attributes:
        columns: The names of the values of a row, by which JSON may give them; () if
            they have none.
        raw: How raw values become x, and which x the model accepts.
        units: The data's units if rows are to be standardized.
        dtype: Of the rows.
        may_be_missing: Whether NaN, and null in JSON, stands for a missing value.
        schema: What cells mean, if rows are codes of a table's columns.
    """

    name: str
    shape: tuple[int, ...]
    max_rows: int
    raw: RawValues = PLAIN
    units: Units | None = None
    dtype: type[np.float32] | type[np.float64] = np.float32
    columns: tuple[str, ...] = ()
    may_be_missing: bool = False
    schema: TableSchema | None = None

    @cached_property
    def left_out(self) -> frozenset[str]:
        """Columns that training left out: they may come by name, and are not read."""
        left_out = () if self.schema is None else self.schema.left_out
        return frozenset(column.name for column in left_out)

    @cached_property
    def dim(self) -> int:
        """D, the number of values in a row."""
        return prod(self.shape)

    @cached_property
    def largest(self) -> float:
        """The largest magnitude of a number."""
        is_wide = self.units is not None or self.dtype == np.float64
        return _LARGEST_DOUBLE if is_wide else LARGEST

    @cached_property
    def a_number(self) -> str:
        """The accepted numbers, as text."""
        fits = " that fits float32" if self.largest == LARGEST else ""
        return f"a finite number{fits}"

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

    def refuse(self, detail: str) -> Never:
        """
        Refuse the array as a whole.

        Raises:
            UnprocessableError: In every case.
        """
        refuse(self.pointer(), detail)

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
                f"expected at most {self.max_rows} rows, got {n} or more; "
                "send them in several requests"
            )

    def to_rows(
        self, values: NDArray[Any], *, shaped: bool, first_row: int = 0
    ) -> Rows:
        """
        Convert raw values to rows of x in the model's units, (N, D), and check them.

        Args:
            values: Contiguous numbers or booleans; of a dtype, as `RawValues.x_of`.
            first_row: The position of the first row in the request.

        Raises:
            UnprocessableError: A value is not finite or outside the model's range.
        """
        return self.rows_of(
            self.x_of(values.reshape(-1)), shaped=shaped, first_row=first_row
        )

    def rows_of(self, x: FloatArray, *, shaped: bool, first_row: int = 0) -> Rows:
        """
        Check x, and return it as rows in the model's units.

        Args:
            x: Flat, float32 or float64.
            first_row: As in `to_rows`.

        Raises:
            UnprocessableError: A value is not finite or outside the model's range.
        """
        first = first_row * self.dim
        self.check(x, first, shaped=shaped)
        if self.units is None:
            rows = x.reshape(-1, self.dim)
            return Rows(rows.astype(self.dtype, copy=False), shaped)
        u = self.units.standardize(x.reshape(-1, self.dim))
        self.check_standardized(u.reshape(-1), x, first, shaped=shaped)
        return Rows(u, shaped)

    def to_values(
        self, x: NDArray[np.float64], first: int, *, shaped: bool
    ) -> NDArray[Any]:
        """
        Convert a part of the array as `to_rows` converts rows.

        Args:
            x: Flat; it may begin and end within a row.
            first: The position of the first value in the request.

        Raises:
            UnprocessableError: A value is not finite or outside the model's range.
        """
        self.check(x, first, shaped=shaped)
        if self.units is None:
            return x
        u = self.units.standardize_part(x, first)
        self.check_standardized(u, x, first, shaped=shaped)
        return u

    def x_of(self, values: NDArray[Any]) -> FloatArray:
        """
        Return the x of raw values.

        Raises:
            UnprocessableError: They are integers with two readings.
        """
        if values.dtype.kind == "f":  # not integers, so there is one reading
            return self.raw.convert(values)
        try:
            return self.raw.x_of(values)
        except TwoReadingsError as error:
            raise UnprocessableError(Fault(self.pointer(), str(error))) from error

    def check(self, x: FloatArray, first: int, *, shaped: bool) -> None:
        """
        Check that x is finite and in the model's range.

        Args:
            x: Flat.
            first: The position of the first value in the request.

        Raises:
            UnprocessableError: A value is not.
        """
        if self.may_be_missing:
            x = np.where(np.isnan(x), x.dtype.type(self._inside), x)
        # A range of [0, 1] is checked in one pass that also finds what is not finite.
        i = self.raw.first_outside(x)
        if i is None:
            if self.raw.value_range is not None or self._all_finite(x):
                return
            i = first_outside(x, self.largest)
        value = float(x[i])
        if abs(value) <= self.largest and self.raw.value_range is not None:
            low, high = self.raw.value_range
            what = f"expected a value in [{low:g}, {high:g}], got {number(value)}"
            cause = self.raw.likely_cause(x)
            raise self._at(first + i, f"{what}; {cause}" if cause else what, shaped)
        what = f"expected {self.a_number}, got {number(value)}"
        raise self._at(first + i, what, shaped)

    def check_standardized(
        self, u: NDArray[np.float32], x: FloatArray, first: int, *, shaped: bool
    ) -> None:
        """
        Check that u, the standardized x, is finite; both are flat.

        Raises:
            UnprocessableError: A value of x is too far from those of the training.
        """
        if all_finite(u):
            return
        i = first_outside(u, LARGEST)
        what = (
            f"expected a number like those of the training, got {number(float(x[i]))}"
        )
        raise self._at(first + i, what, shaped)

    @property
    def _inside(self) -> float:
        """A number that is accepted."""
        return 0.0 if self.raw.value_range is None else sum(self.raw.value_range) / 2

    def _all_finite(self, x: FloatArray) -> bool:
        if self.largest == LARGEST:
            return all_finite(x)
        return first_outside(x, self.largest) == len(x)

    def _at(self, position: int, what: str, shaped: bool) -> UnprocessableError:  # noqa: FBT001  as in `Rows`
        row, d = divmod(position, self.dim)
        return UnprocessableError(Fault(self.pointer_to(row, d, shaped=shaped), what))


def all_finite(values: NDArray[np.floating]) -> bool:
    """Return whether all values, float32 or wider, are finite as float32."""
    if values.size > MAX_FOR_BLAS:
        # False for NaN.
        return bool(values.max() <= LARGEST and values.min() >= -LARGEST)
    # One fast pass: a value that is not finite makes the sum of squares too large or
    # NaN. So may many large values, hence the exact check after it.
    if float(np.vdot(values, values)) <= _LARGEST_SQUARE:
        return True
    return first_outside(values.reshape(-1), LARGEST) == values.size


def first_outside(values: NDArray[np.floating], largest: float) -> int:
    """Return the index of the first value not finite or too large, or their number."""
    wide = largest == _LARGEST_DOUBLE
    for start in range(0, len(values), _BLOCK):  # in blocks, to save memory
        block = values[start : start + _BLOCK]
        within = np.isfinite(block) if wide else np.abs(block) <= largest
        if not within.all():
            return start + int(np.argmin(within))
    return len(values)
