"""How a table in text is written: its separator, decimal mark and header."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, final

from model.files import header, numerals
from model.files.contents import DataError
from model.files.numerals import Decimal
from model.files.options import ReadOptions

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
# In the order of preference where several fit: commas and spaces are in texts too.
_SEPARATORS = ("\t", ";", "|", ",", " ")
# How well rows fit a first line with so many cells fewer: row names have none there.
_FIT = {0: 1.0, 1: 0.5}
_MISFIT = 0.1
# Texts may be longer than the 131,072 characters that Python allows in a cell. It is a
# limit of the process; the lines of the service's requests have one of their own.
csv.field_size_limit(1 << 24)


@final
@dataclass(frozen=True)
class Dialect:
    """
    How a table is written.

    Attributes:
        sep: The separator of cells; a space stands for any number of spaces.
        n_skipped: Lines before the table: how it is written, and comments.
        header: The names in the first line or in a comment; None without names.
        is_first_row: Whether they are in the first line of the table.
        notes: What was taken to be so, where it could be otherwise.
    """

    sep: str
    decimal: Decimal
    n_skipped: int
    header: tuple[str, ...] | None
    is_first_row: bool
    notes: tuple[str, ...]

    def rows(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """
        Yield the number of the line and the cells of each row, also of empty ones.

        Raises:
            csv.Error: Quotes are not in pairs.
        """
        below = islice(lines, self.n_skipped, None)
        rows = _rows(below, self.sep, self.n_skipped)
        if self.is_first_row:
            next((line for line, cells in rows if has_value(cells)), None)
        return rows


def has_value(cells: Sequence[str]) -> bool:
    """Say whether a row has a cell that is not empty."""
    return any(map(str.strip, cells))


def recognize(
    file: str, lines: Sequence[str], options: ReadOptions, named: str | None = None
) -> Dialect:
    """
    Recognize how a table is written from its first lines.

    Args:
        file: The name in errors.
        named: The separator that the name of the file says.

    Raises:
        DataError: The table can be read in several ways: the message names the option
            that says which.
    """
    said = _said_separator(lines)
    comments = _comments(lines[said is not None :])
    n_skipped = (said is not None) + len(comments)
    lines = lines[n_skipped:]
    sep = _separator(file, options.sep) or said or named or _likely(lines)
    try:
        rows = [cells for _, cells in _not_empty(lines, sep, n_skipped)]
        commented = [cells for _, cells in _not_empty(comments[-1:], sep)]
    except csv.Error as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    notes: list[str] = []
    is_named, names = options.header, None
    if commented and rows and is_named is not False and _are_names(commented[0], rows):
        is_named, names = False, _names(commented[0], rows)
    elif is_named is None and rows:
        is_named = header.is_header(file, rows, notes)
    body = rows[1:] if is_named else rows
    if rows and is_named:
        names = _names(rows[0], body)
    decimal = options.decimal or _decimal(file, sep, body, notes)
    return Dialect(sep, decimal, n_skipped, names, bool(is_named), tuple(notes))


def cells_of(lines: Iterable[str], sep: str) -> Any:
    """Return a reader of cells, of the `csv` module."""
    if sep == " ":
        lines = (line.strip(" ") for line in lines)
    return csv.reader(lines, delimiter=sep, skipinitialspace=True, strict=True)


def _names(first: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names of a header, one for each cell of the rows."""
    names = [cell.strip() for cell in first]
    if body and all(len(row) == len(names) + 1 for row in body):
        # A separator at the end of each row, or row names, as of R's write.table.
        ends = any(row[-1].strip() for row in body)
        names.insert(0 if ends else len(names), "")
    return tuple(names)


def _comments(lines: Sequence[str]) -> list[str]:
    """Return the first lines that begin with #, without it."""
    found = takewhile(lambda line: line.lstrip().startswith("#"), lines)
    return [line.lstrip().lstrip("# ") for line in found]


def _are_names(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Say whether a comment has names for rows of numbers, as NumPy's savetxt does."""
    return (
        len(cells) == len(rows[0])
        and all(map(numerals.is_number, rows[0]))
        and not any(map(numerals.is_number, cells))
    )


def _said_separator(lines: Sequence[str]) -> str | None:
    """Return the separator that a first line `sep=;` of Excel gives."""
    first = lines[0].rstrip("\r\n").strip('"') if lines else ""
    if first.lower().startswith("sep=") and len(first) == 5:
        return first[-1]
    return None


def _separator(file: str, option: str | None) -> str | None:
    sep = {"tab": "\t", "\\t": "\t", "space": " "}.get(option or "", option)
    if sep is not None and (len(sep) != 1 or sep in '"\r\n'):
        raise DataError(f"--sep for {file}: expected one character or tab, got {sep!r}")
    return sep


def _not_empty(
    lines: Iterable[str], sep: str, n_skipped: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """Return the rows that have a value; see `_rows`."""
    return (row for row in _rows(lines, sep, n_skipped) if has_value(row[1]))


def _rows(
    lines: Iterable[str], sep: str, n_skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the cells of rows."""
    reader = cells_of(lines, sep)
    first = 1
    try:
        for cells in reader:
            yield n_skipped + reader.line_num, cells
            first = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(
            f"{error} in line {n_skipped + first}; a cell in quotes begins"
            " and ends with one, and a quote within is written twice"
        ) from error


def _likely(lines: Sequence[str]) -> str:
    """Return the separator under which lines are alike and cells are numbers."""
    if _is_one_column(lines):
        return ";"  # as in Germany, where it would separate more columns
    best, found = (0.0, 0.0), ","
    for sep in _SEPARATORS:
        try:
            rows = [cells for _, cells in _not_empty(lines, sep)]
        except csv.Error:
            continue
        body = rows[1:] or rows
        if not body:
            break
        width, n_alike = Counter(map(len, body)).most_common(1)[0]
        if width == 1:
            continue
        cells = [cell for row in body for cell in row]
        n_numbers = sum(map(numerals.is_number_with_unit, cells))
        fit = _FIT.get(width - len(rows[0]), _MISFIT)
        score = (fit * n_alike / len(body) * (0.01 + n_numbers / len(cells)), n_alike)
        if score > best:
            best, found = score, sep
    return found


def _is_one_column(lines: Sequence[str]) -> bool:
    """Say whether below one name whole lines are numbers with a decimal comma."""
    name, *body = [line.strip() for line in lines if line.strip()] or [""]
    is_name = not any(sep in name for sep in _SEPARATORS[:-1])
    return (
        is_name
        and not numerals.is_number(name)
        and any("," in line for line in body)
        and all(map(numerals.is_number, body))
    )


def _decimal(
    file: str, sep: str, body: Sequence[Sequence[str]], notes: list[str]
) -> Decimal:
    """
    Return the decimal mark that the cells show.

    Raises:
        DataError: All numbers are like 1,234, and the separator does not help.
    """
    marks = Counter(numerals.mark_of(cell) for row in body for cell in row)
    if marks["."] or marks[","]:
        return "." if marks["."] >= marks[","] else ","
    if not marks["1,234"]:
        if marks["1.234"] and sep in ";\t":  # of spreadsheets that may be German
            notes.append(
                f"{_first(body, '1.234')!r} of {file} is read with a decimal point:"
                " --decimal , reads separators of thousands"
            )
        return "."
    shown = _first(body, "1,234")
    if sep == "," and not marks["1.234"]:
        notes.append(
            f"{shown!r} of {file} is read with separators of thousands:"
            " --decimal , reads a decimal comma"
        )
        return "."
    if sep == ";" and not marks["1.234"]:
        notes.append(
            f"{shown!r} of {file} is read with a decimal comma:"
            " --decimal . reads separators of thousands"
        )
        return ","
    raise DataError(
        f"{shown!r} of {file} can be a number with a decimal comma or with a separator"
        " of thousands: say which with --decimal , or --decimal ."
    )


def _first(rows: Sequence[Sequence[str]], mark: str) -> str:
    """Return the first cell that shows a mark."""
    return next(cell for row in rows for cell in row if numerals.mark_of(cell) == mark)
