"""Tables of numbers in text: .csv, .tsv and the like, plain or gzip."""

import csv
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from model.files import columns, dialect, labels, numerals, text
from model.files.columns import Choice, Table
from model.files.contents import Contents, DataError, Origin, Rows
from model.files.dialect import Dialect
from model.files.options import ReadOptions

_SAMPLE_CHARACTERS = 1 << 18
_LONGEST_SHOWN = 40  # characters of a cell


def read(
    path: Path, options: ReadOptions, wanted: Sequence[str], *, sep: str | None = None
) -> Contents:
    """
    Read a table of numbers; its separator, decimal mark and header are recognized.

    Args:
        wanted: The columns of a model, see `columns.choose`.
        sep: The separator that the name of the file says.

    Raises:
        DataError: A cell that is used is not a finite number, lines differ in length,
            or the table can be read in several ways.
    """
    encoding = text.encoding_of(path)
    try:
        return _read(path, encoding, options, wanted, sep)
    except UnicodeDecodeError as error:
        if encoding != text.UTF_8:
            raise DataError(f"{path} cannot be read: {error}") from error
    try:
        contents = _read(path, text.WINDOWS, options, wanted, sep)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as UTF-8 or Windows-1252") from error
    return contents.noting(f"{path.name} is no UTF-8 and is read as Windows-1252")


def _read(
    path: Path,
    encoding: str,
    options: ReadOptions,
    wanted: Sequence[str],
    sep: str | None,
) -> Contents:
    lines = text.sample(path, encoding, _SAMPLE_CHARACTERS)
    how = dialect.recognized(path.name, lines, options, sep)
    table = _table(path.name, lines, how)
    choice = columns.choose(table, options, wanted)
    body = _Body(table, choice, how)
    try:
        with text.opened(path, encoding) as file:
            for line, cells in how.rows(file):
                body.add(line, cells)
    except csv.Error as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    x = body.x()
    y, note = body.classes()
    numbers = np.array(body.lines, dtype=np.int64)
    rows = Rows(x, y, numbers, body.origin)
    notes = (
        *how.notes,
        *choice.notes,
        *body.notes.values(),
        *((note,) if note else ()),
    )
    return Contents(
        name=path.name.partition(".")[0] or path.name,
        rows=rows,
        source=f"the table {path.name}",
        notes=(
            _summary(table, choice, how),
            *notes,
            *columns.warnings(table, choice, x),
        ),
    )


def _table(file: str, lines: Sequence[str], how: Dialect) -> Table:
    """Return the columns of a table, as its first lines show them."""
    rows = [cells for _, cells in how.rows(lines)]
    if not rows:
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
    return Table(file, names, width, tuple(indices), tuple(empty))


def _are_row_names(cells: Sequence[str]) -> bool:
    """Say whether cells are texts, or integers of which none comes twice."""
    if all(map(numerals.is_integer, cells)):
        return len(set(cells)) == len(cells)
    return not any(map(numerals.is_number, cells))


@final
@dataclass(eq=False)
class _Body:
    """The rows of a table while they are read."""

    table: Table
    choice: Choice
    how: Dialect
    values: "array[float]" = field(default_factory=lambda: array("d"))
    lines: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._takes_all = self.choice.x == tuple(range(self.table.n_columns))
        self._floats: Callable[[Sequence[str]], list[float]] = (
            _with_point if self.how.decimal == "." else _with_comma
        )

    @property
    def origin(self) -> Origin:
        """Where the rows are from."""
        return Origin(
            self.table.file,
            unit="line",
            columns=self.choice.names,
            positions=self.choice.x,
        )

    def add(self, line: int, cells: list[str]) -> None:
        """Add a row."""
        if len(cells) != self.table.n_columns:
            raise DataError(
                f"line {line} of {self.table.file} has {len(cells)} cells, expected"
                f" {self.table.n_columns} as in the first line; cells are separated by"
                f" {dialect.NAMES.get(self.how.sep, repr(self.how.sep))}, --sep says"
                " another separator"
            )
        for i in self.table.empty:
            if cells[i].strip():
                raise DataError(
                    f"line {line} of {self.table.file} has a value in column {i + 1},"
                    " which has no name and no other values"
                )
        used = cells if self._takes_all else [cells[i] for i in self.choice.x]
        try:
            self.values.extend(self._floats(used))
        except ValueError:
            self.values.extend([self._number(line, i, c) for i, c in enumerate(used)])
        self.lines.append(line)
        if self.choice.label is not None:
            self.labels.append(cells[self.choice.label].strip())

    def x(self) -> NDArray[np.float64]:
        """Return the numbers, (N, D), all finite."""
        x = np.frombuffer(self.values, dtype=np.float64).reshape(len(self.lines), -1)
        for n, d in np.argwhere(~np.isfinite(x))[:1].tolist():
            raise self._refusal(self.lines[n], d, str(x[n, d]))
        return x

    def classes(self) -> tuple[NDArray[Any] | None, str | None]:
        """Return the labels, and a sentence on what they stand for."""
        if self.choice.label is None:
            return None, None
        raw = np.array(self.labels)
        if all(map(numerals.is_integer, self.labels)):
            raw = raw.astype(np.int64)
        name = f"{self.table.describe(self.choice.label)} of {self.table.file}"
        return labels.classes(raw, n=len(raw), name=name)

    def _number(self, line: int, i: int, cell: str) -> float:
        found = numerals.read(cell, self.how.decimal)
        if found is None:
            raise self._refusal(line, i, cell)
        if found.kind != "number" and found.kind not in self.notes:
            what = {"grouped": "separators of thousands", "truth": "truth values"}
            self.notes[found.kind] = (
                f"{self.origin.value(line, (i,))} holds {cell.strip()}, read as"
                f" {found.value:.15g}; other {what[found.kind]} likewise"
            )
        return found.value

    def _refusal(self, line: int, i: int, cell: str) -> DataError:
        """Return the error for a cell that is no number, with the option that helps."""
        table, position = self.table, self.choice.x[i]
        place, shown = self.origin.value(line, (i,)), repr(cell[:_LONGEST_SHOWN])
        drop = f"--drop {table.reference(position)} leaves the column out"
        other: numerals.Decimal = "," if self.how.decimal == "." else "."
        if numerals.is_missing(cell):
            why = f"a missing value: fill it in or remove the row; {drop}"
        elif numerals.read(cell, other) is not None:
            why = (
                f"and numbers have the decimal mark {self.how.decimal!r}:"
                f" --decimal {other} says the other"
            )
        elif any(
            sep in cell for sep in dialect.NAMES if sep not in (self.how.sep, " ")
        ):
            why = (
                "and cells are separated by"
                f" {dialect.NAMES.get(self.how.sep, repr(self.how.sep))}: --sep says"
                f" another separator; {drop}"
            )
        else:
            why = (
                f"expected a number: {drop}, --label {table.reference(position)} takes"
                " it as labels"
            )
        return DataError(f"{place} holds {shown}, {why}")


def _with_point(cells: Sequence[str]) -> list[float]:
    # Python reads 1_000 as a number; a table should not.
    if "_" in "".join(cells):
        raise ValueError
    return list(map(float, cells))


def _with_comma(cells: Sequence[str]) -> list[float]:
    joined = "".join(cells)
    if "_" in joined or "." in joined:
        raise ValueError
    return [float(cell.replace(",", ".")) for cell in cells]


def _summary(table: Table, choice: Choice, how: Dialect) -> str:
    """Return how the table was read, in a sentence."""
    parts = []
    if len(choice.x) > 1 or table.n_columns > 1:
        parts.append(f"separated by {dialect.NAMES.get(how.sep, repr(how.sep))}")
    if how.decimal == ",":
        parts.append("with a decimal comma")
    parts.append("with a header" if how.header else "without a header")
    n = len(choice.x)
    named = f": {table.listed(choice.x)}" if table.names else ""
    return f"{table.file} is read {', '.join(parts)}; {n} column{'s' * (n > 1)}{named}"
