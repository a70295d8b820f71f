"""Whether the first line of a table has the names of its columns."""

from collections.abc import Sequence

from model.files import numerals
from model.files.contents import DataError
from model.tables.cells import is_missing_number

# A first line 0, 1, ..., of that many cells is a header, whatever follows.
_MANY_COLUMNS = 10


def is_header(file: str, rows: Sequence[Sequence[str]], notes: list[str]) -> bool:
    """
    Return whether the first of some rows has names.

    Args:
        notes: Gets a sentence if that could be otherwise.

    Raises:
        DataError: It could be both.
    """
    first, body = rows[0], rows[1:]
    if not any(map(numerals.is_number, first)):
        return not all(map(is_missing_number, first))
    if body and all(len(row) == len(first) + 1 for row in body):
        return True  # R's write.table gives row names no name
    if (
        not first[0].strip()
        and body
        and numerals.are_consecutive([row[0] for row in body])
    ):
        return True  # pandas and R give an index no name
    shown = ",".join(first)[:60]
    if all(map(numerals.is_number, first)):
        found = _of_numbers(first, body)
    else:
        found = None if _names_above_numbers(first, body) else False
    if found is None:
        raise DataError(
            f"the first line of {file}, {shown}, can be a header or a row: say which"
            " with --header or --no-header"
        )
    if found:
        notes.append(
            f"the first line of {file}, {shown}, is taken as a header:"
            " --no-header reads it as a row"
        )
    return found


def _of_numbers(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool | None:
    """Return whether a row of numbers is a header, None if it could be both."""
    if not body or len(first) < 2:
        return False
    if not numerals.are_consecutive(first):
        return None if _are_integers_above_reals(first, body) else False
    if len(first) == 2 and first[0].strip() == "1":
        return False  # no program numbers two columns 1 and 2
    return True if len(first) >= _MANY_COLUMNS or _holds_reals(body) else None


def _are_integers_above_reals(
    first: Sequence[str], body: Sequence[Sequence[str]]
) -> bool:
    """Return whether a row has distinct integers above columns without integers."""
    cells = [cell for row in body for cell in row]
    return (
        all(map(numerals.is_integer, first))
        and len(set(first)) == len(first)
        and not any(map(numerals.is_integer, cells))
    )


def _holds_reals(body: Sequence[Sequence[str]]) -> bool:
    """Return whether most cells of a column, or of both, are not integers."""
    columns = list(zip(*body, strict=False))
    are_real = [
        2 * sum(map(numerals.is_integer, column)) < len(column) for column in columns
    ]
    return all(are_real) if len(columns) <= 2 else any(are_real)


def _names_above_numbers(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether a text of the first row stands above a column of numbers."""
    for i, cell in enumerate(first):
        if numerals.is_number(cell) or is_missing_number(cell):
            continue
        below = [row[i] for row in body if i < len(row)]
        if below and sum(map(numerals.is_number, below)) > len(below) / 2:
            return True
    return False
