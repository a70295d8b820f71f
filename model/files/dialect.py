"""How a table in text is written: its separator, decimal mark and header."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

from model.files import numerals
from model.files.contents import DataError
from model.files.numerals import Decimal
from model.files.options import ReadOptions

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
# In the order of preference where several fit: commas and spaces are in texts too.
_SEPARATORS = ("\t", ";", "|", ",", " ")
# A first line 0, 1, ..., of that many cells is a header, whatever follows.
_MANY_COLUMNS = 10


@final
@dataclass(frozen=True)
class Dialect:
    """
    How a table is written.

    Attributes:
        sep: The separator of cells; a space stands for any number of spaces.
        n_skipped: Lines before the table, which say how it is written.
        header: The cells of the first line if they are names, else None.
        notes: What was taken to be so, where it could be otherwise.
    """

    sep: str
    decimal: Decimal
    n_skipped: int
    header: tuple[str, ...] | None
    notes: tuple[str, ...]

    def rows(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """
        Yield the number of the line and the cells of each row, without empty rows.

        Raises:
            csv.Error: Quotes are not in pairs.
        """
        reader = cells_of(lines, self.sep)
        skip_header = self.header is not None
        for cells in reader:
            if reader.line_num <= self.n_skipped or not any(map(str.strip, cells)):
                continue
            if skip_header:
                skip_header = False
                continue
            yield reader.line_num, cells


def recognized(
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
    n_skipped = 0 if said is None else 1
    sep = _separator(file, options.sep) or said or named or _likely(lines[n_skipped:])
    try:
        rows = _not_empty(cells_of(lines[n_skipped:], sep))
    except csv.Error as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    notes: list[str] = []
    header = options.header
    if header is None and rows:
        header = _has_header(file, rows, notes)
    body = rows[1:] if header else rows
    names = _names(rows[0], body) if rows and header else None
    decimal = options.decimal or _decimal(file, sep, body, notes)
    return Dialect(sep, decimal, n_skipped, names, tuple(notes))


def cells_of(lines: Iterable[str], sep: str) -> Any:
    """Return a reader of cells, of the `csv` module."""
    if sep == " ":
        lines = (line.strip(" ") for line in lines)
    return csv.reader(lines, delimiter=sep, skipinitialspace=True, strict=True)


def _names(first: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names of a header, one for each cell of the rows."""
    names = [cell.strip() for cell in first]
    names[0] = names[0].removeprefix("#").strip()  # NumPy's savetxt
    if body and all(len(row) == len(names) + 1 for row in body):
        # A separator at the end of each row, or row names, as of R's write.table.
        ends = any(row[-1].strip() for row in body)
        names.insert(0 if ends else len(names), "")
    return tuple(names)


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


def _not_empty(rows: Iterable[list[str]]) -> list[list[str]]:
    return [cells for cells in rows if any(map(str.strip, cells))]


def _likely(lines: Sequence[str]) -> str:
    """Return the separator under which rows are alike and cells are numbers."""
    best, found = (0.0, 0.0), ","
    for sep in _SEPARATORS:
        try:
            rows = _not_empty(cells_of(lines, sep))
        except csv.Error:
            continue
        body = rows[1:] or rows
        if not body:
            break
        width, n_alike = Counter(map(len, body)).most_common(1)[0]
        if width == 1:
            continue
        cells = [cell for row in body for cell in row]
        n_numbers = sum(map(numerals.is_number, cells))
        score = (n_alike / len(body) * (0.01 + n_numbers / len(cells)), n_alike)
        if score > best:
            best, found = score, sep
    return found if not _is_one_column(lines, best[0]) else ","


def _is_one_column(lines: Sequence[str], score: float) -> bool:
    """Say whether whole lines are numbers with a decimal comma, and parts are not."""
    body = [line for line in lines if line.strip()][1:]
    return bool(body) and score < 1 and all(map(numerals.is_number, body))


def _has_header(file: str, rows: Sequence[Sequence[str]], notes: list[str]) -> bool:
    """
    Say whether the first row has names.

    Raises:
        DataError: It could be both.
    """
    first, body = rows[0], rows[1:]
    shown = ",".join(first)[:60]
    are_numbers = [numerals.is_number(cell) for cell in first]
    if not any(are_numbers):
        return not all(map(numerals.is_missing, first))
    if body and all(len(row) == len(first) + 1 for row in body):
        return True  # R's write.table gives row names no name
    if not first[0].strip() and body and numerals.count([row[0] for row in body]):
        return True  # pandas and R give an index no name
    if all(are_numbers):
        if not numerals.count(first) or len(first) < 2 or not body:
            return False
        if len(first) == 2 and first[0].strip() == "1":
            return False  # no program numbers two columns 1 and 2
        if len(first) >= _MANY_COLUMNS or _holds_reals(body):
            notes.append(
                f"the first line of {file}, {shown}, is taken as a header:"
                " --no-header reads it as a row"
            )
            return True
    elif not _names_above_numbers(first, body):
        return False
    raise DataError(
        f"the first line of {file}, {shown}, can be a header or a row: say which with"
        " --header or --no-header"
    )


def _holds_reals(body: Sequence[Sequence[str]]) -> bool:
    """Say whether most cells of a column, or of both, are not written as integers."""
    columns = list(zip(*body, strict=False))
    are_real = [
        2 * sum(map(numerals.is_integer, column)) < len(column) for column in columns
    ]
    return all(are_real) if len(columns) <= 2 else any(are_real)


def _names_above_numbers(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Say whether a text of the first row stands above a column of numbers."""
    for i, cell in enumerate(first):
        if numerals.is_number(cell) or numerals.is_missing(cell):
            continue
        below = [row[i] for row in body if i < len(row)]
        if below and sum(map(numerals.is_number, below)) > len(below) / 2:
            return True
    return False


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
        return "."
    shown = next(c for row in body for c in row if numerals.mark_of(c) == "1,234")
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
