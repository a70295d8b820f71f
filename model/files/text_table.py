"""A table in text, opened: its columns, how it is written, and its rows of cells."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

from numpy.typing import NDArray

from model.files import columns, dialect, labels, numerals, text
from model.files.columns import ChosenColumns, FileColumns
from model.files.contents import DataError, Origin
from model.files.dialect import Dialect
from model.files.options import ReadOptions

_SAMPLE_CHARACTERS = 1 << 18

_Read = TypeVar("_Read")


@final
@dataclass(frozen=True, eq=False)
class TextTable:
    """
    A table in text whose columns are chosen and whose rows are not yet read.

    Attributes:
        how: How it is written.
        choice: The columns that are used.
        decoding: A sentence on its encoding, if that is a guess.
    """

    path: Path
    encoding: str
    table: FileColumns
    choice: ChosenColumns
    how: Dialect
    decoding: tuple[str, ...]

    @property
    def name(self) -> str:
        """The stem of the file."""
        return self.path.name.partition(".")[0] or self.path.name

    @property
    def origin(self) -> Origin:
        """Where the rows are from."""
        return Origin(
            self.table.file,
            unit="line",
            columns=self.choice.names,
            positions=self.choice.x,
        )

    def classes(self, cells: Sequence[str]) -> tuple[NDArray[Any] | None, str | None]:
        """Return the labels, and a sentence on what they stand for."""
        if self.choice.label is None:
            return None, None
        name = f"{self.table.describe(self.choice.label)} of {self.table.file}"
        return labels.of_texts(cells, name=name)

    def notes(self, empty: Sequence[int]) -> tuple[str, ...]:
        """
        Return how the table is read, in sentences.

        Args:
            empty: The lines of its empty rows, see `TextRows`.
        """
        notes = (self._summary(), *self.how.notes, *self.choice.notes)
        if not empty:
            return notes
        n, first = len(empty), empty[0]
        what = f"line {first} is" if n == 1 else f"{n} rows from line {first} on are"
        left_out = f"{self.table.file}: {what} empty and left out; NA is a missing cell"
        return (*notes, left_out)

    def _summary(self) -> str:
        """Return how the table is read, in a sentence."""
        table, choice, how = self.table, self.choice, self.how
        parts = []
        if len(choice.x) > 1 or table.n_columns > 1:
            parts.append(f"separated by {dialect.NAMES.get(how.sep, repr(how.sep))}")
        if how.decimal == ",":
            parts.append("with a decimal comma")
        parts.append("with a header" if how.header else "without a header")
        n = len(choice.x)
        named = f": {table.listed(choice.x)}" if table.names else ""
        return (
            f"{table.file} is read {', '.join(parts)}; {n} column{'s' * (n > 1)}{named}"
        )

    def check(self, line: int, cells: Sequence[str]) -> None:
        """
        Check that a row has the columns of the table.

        Raises:
            DataError: It has others.
        """
        table, sep = self.table, self.how.sep
        if len(cells) != table.n_columns:
            raise DataError(
                f"line {line} of {table.file} has {len(cells)} cells, expected"
                f" {table.n_columns} as in the first line; cells are separated by"
                f" {dialect.NAMES.get(sep, repr(sep))}, --sep says another separator"
            )
        for i in table.empty:
            if cells[i].strip():
                raise DataError(
                    f"line {line} of {table.file} has a value in column {i + 1},"
                    " which has no name and no other values"
                )


@final
class TextRows:
    """
    Reads the rows of a table once: the line and the cells of each that has a value.

    Attributes:
        empty: The lines of empty rows that have rows below them, as far as read.
    """

    def __init__(self, source: TextTable) -> None:
        self._source = source
        self.empty: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """
        Yield the line and the cells of each row.

        Raises:
            DataError: Lines differ in length, or quotes are not in pairs.
        """
        source, passed = self._source, list[int]()
        try:
            with text.open_text(source.path, source.encoding) as file:
                for line, cells in source.how.rows(file):
                    if dialect.has_value(cells):
                        source.check(line, cells)
                        self.empty.extend(passed)
                        passed.clear()
                        yield line, cells
                    elif cells or source.table.n_columns == 1:  # else a line of no row
                        passed.append(line)
        except csv.Error as error:
            raise DataError(f"{source.path.name} cannot be read: {error}") from error


def read(
    path: Path,
    options: ReadOptions,
    wanted: Sequence[str],
    sep: str | None,
    rows_of: Callable[[TextTable], _Read],
) -> _Read:
    """
    Open a table and read it; its encoding, separator and header are recognized.

    Args:
        wanted: The columns of a model, see `columns.choose`.
        sep: The separator that the name of the file says.
        rows_of: Reads the rows.

    Raises:
        DataError: It is in no known encoding, or can be read in several ways.
    """
    encoding = text.encoding_of(path)
    try:
        return rows_of(_opened(path, encoding, options, wanted, sep))
    except UnicodeDecodeError as error:
        if encoding != text.UTF_8:
            raise DataError(f"{path} cannot be read: {error}") from error
    note = f"{path.name} is no UTF-8 and is read as Windows-1252"
    try:
        return rows_of(_opened(path, text.WINDOWS, options, wanted, sep, note))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as UTF-8 or Windows-1252") from error


def _opened(
    path: Path,
    encoding: str,
    options: ReadOptions,
    wanted: Sequence[str],
    sep: str | None,
    *decoding: str,
) -> TextTable:
    lines = text.sample(path, encoding, _SAMPLE_CHARACTERS)
    how = dialect.recognize(path.name, lines, options, sep)
    table = _table(path.name, lines, how)
    choice = columns.choose(table, options, wanted)
    return TextTable(path, encoding, table, choice, how, decoding)


def _table(file: str, lines: Sequence[str], how: Dialect) -> FileColumns:
    """Return the columns of a table, as its first lines show them."""
    rows = [cells for _, cells in how.rows(lines) if dialect.has_value(cells)]
    if not rows:
        if how.header:
            raise DataError(
                f"{file} holds no rows below its header, {','.join(how.header)[:60]}"
            )
        raise DataError(f"{file} holds no rows")
    names = how.header or ()
    width = len(names) or len(rows[0])
    nameless = [i for i in range(width) if not names or not names[i]]
    below = {i: [row[i] for row in rows if i < len(row)] for i in nameless}
    empty = [i for i, cells in below.items() if not any(map(str.strip, cells))]
    indices = (
        i
        for i in nameless[:1]
        if names and i == 0 and i not in empty
        if _are_row_names(below[i])
    )
    return FileColumns(file, names, width, tuple(indices), tuple(empty))


def _are_row_names(cells: Sequence[str]) -> bool:
    """Say whether cells are texts, or integers of which none comes twice."""
    if all(map(numerals.is_integer, cells)):
        return len(set(cells)) == len(cells)
    return not any(map(numerals.is_number, cells))
