"""
Cells of a table's columns to codes, and back: categories, numbers, nothing.

`TableSchema` says what a cell means. The rows of a request are read as codes, float64
with NaN for missing cells; rows of data in responses are codes too where they are
arrays, and cells where they have the names of their columns.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from app.errors import Fault, UnprocessableError
from app.wire.layout import Layout
from model.tables.cells import Cell
from model.tables.schema import CellError, Codes, TableSchema

_KINDS = frozenset({bool, int, float, str, type(None)})
_OF_NUMBERS = re.compile("[0-9.eE+-]*")


@final
class Coded(NamedTuple):
    """
    Codes of cells, (n, columns).

    Attributes:
        unknown: Faults of categories that are unknown; their codes are those of an
            unseen one.
    """

    values: Codes
    unknown: list[Fault]


def of_rows(
    rows: Sequence[Sequence[Any]],
    names: Sequence[str],
    layout: Layout,
    schema: TableSchema,
    first_row: int,
) -> Coded:
    """
    Return the codes of rows of cells, (n, columns).

    Args:
        names: The columns, in the order of the cells.
        first_row: The position of the first row in the request.

    Raises:
        UnprocessableError: A column cannot have a cell; its pointer has the position
            of the column in the model.
    """
    codes = np.full((len(rows), len(names)), np.nan)
    unknown: list[Fault] = []
    for j, (name, cells) in enumerate(zip(names, zip(*rows, strict=True), strict=True)):
        if name not in layout.left_out:
            codes[:, j], unseen = of_column(name, cells, layout, schema, first_row)
            unknown += unseen
    return Coded(codes, unknown)


def of_column(
    name: str,
    cells: Sequence[Any],
    layout: Layout,
    schema: TableSchema,
    first_row: int,
) -> Coded:
    """Return the codes of the cells of one column, (n,), as `of_rows` does."""
    try:
        codes, unseen = _of_column(name, cells, schema)
    except CellError as error:
        raise UnprocessableError(_fault(error, layout, first_row)) from error
    return Coded(codes, [_fault(error, layout, first_row) for error in unseen])


def _fault(error: CellError, layout: Layout, first_row: int) -> Fault:
    d = layout.columns.index(error.column)
    return Fault(layout.pointer(first_row + error.row, d), error.what)


def _of_column(
    name: str, cells: Sequence[Any], schema: TableSchema
) -> tuple[Codes, Sequence[CellError]]:
    """Return the codes of a column, and the first category that is unknown."""
    kinds = set(map(type, cells))
    if not kinds <= _KINDS:
        row = next(i for i, cell in enumerate(cells) if type(cell) not in _KINDS)
        got = "an array" if isinstance(cells[row], list) else "an object"
        what = f"expected a number, a string, a boolean or null, got {got}"
        raise CellError(name, row, what)
    if not schema.column(name).has_levels:
        numbers = _plain_numbers(cells, kinds)
        return (schema.codes(name, cells) if numbers is None else numbers), ()
    # What occurs often is read once.
    keys = list(zip(map(type, cells), cells, strict=True))  # 1 and True are equal
    first: dict[tuple[type, Any], int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    distinct, unknown = [cell for _, cell in first], []
    try:
        found = schema.codes(name, distinct)
    except CellError as error:
        row = first[list(first)[error.row]]
        unknown = [CellError(name, row, error.what)]
        if schema.column(name).kind != "categorical":
            raise unknown[0] from error
        found = schema.codes(name, distinct, unseen=True)
    code_of = dict(zip(first, found.tolist(), strict=True))
    return np.array([code_of[key] for key in keys]), unknown


def _plain_numbers(cells: Sequence[Any], kinds: set[type]) -> Codes | None:
    """Return the numbers of a column, None if they need a closer look."""
    if kinds == {str}:
        if not _OF_NUMBERS.fullmatch("".join(cells)):
            return None
        try:
            numbers = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            return None
    elif kinds <= {int, float, type(None)}:
        numbers = np.array(cells, np.float64)
    else:
        return None
    return None if np.isinf(numbers).any() else numbers


def of_numbers(
    values: Codes,
    names: Sequence[str],
    layout: Layout,
    schema: TableSchema,
    first_row: int,
) -> Coded:
    """
    Return the codes of rows of numbers, (n, columns), as `of_rows` does.

    Raises:
        UnprocessableError: A number is not a category of its column.
    """
    of_levels = [
        j
        for j, name in enumerate(names)
        if name not in layout.left_out and schema.column(name).has_levels
    ]
    if not of_levels:
        return Coded(values, [])
    codes = values.copy()
    codes[:, of_levels], unknown = of_rows(
        values[:, of_levels].tolist(),
        [names[j] for j in of_levels],
        layout,
        schema,
        first_row,
    )
    return Coded(codes, unknown)


def has_words(names: Iterable[str], schema: TableSchema | None) -> bool:
    """Return whether a category of some columns is a text, which may be like "01"."""
    if schema is None:
        return False
    categories = (schema.column(name).categories or () for name in names)
    return any(isinstance(one, str) for each in categories for one in each)


def check(codes: Codes, layout: Layout, schema: TableSchema) -> None:
    """
    Check that codes, (N, C), are numbers, categories or NaN.

    Raises:
        UnprocessableError: A code is not a category of its column.
    """
    for d, column in enumerate(schema.columns):
        if not column.has_levels:
            continue
        most = column.n_levels - (column.kind != "categorical")
        code = codes[:, d]
        is_good = (code >= 0) & (code <= most) & (code == np.floor(code))
        is_good |= np.isnan(code)
        if not is_good.all():
            what = f"{column.name}: expected a category from 0 to {most}"
            pointer = layout.pointer(int(np.argmin(is_good)), d)
            raise UnprocessableError(Fault(pointer, f"{what}, or a missing cell"))


def cells(
    codes: NDArray[Any], names: Sequence[str], schema: TableSchema
) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of cells that codes stand for, (n, columns); names repeat."""
    columns = [
        schema.cells(name, column) for name, column in zip(cycle(names), codes.T)
    ]
    return zip(*columns, strict=True)
