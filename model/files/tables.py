"""Tables of numbers in text: .csv, .tsv and the like, plain or gzip."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.files import columns, dialect, numerals, sums, text_table
from model.files.contents import (
    ColumnUnit,
    Contents,
    DataError,
    NotANumberError,
    StoredRows,
)
from model.files.options import ReadOptions
from model.files.text_table import TextRows, TextTable
from model.tables.cells import is_missing_number

_LONGEST_SHOWN = 40  # characters of a cell
_LIKEWISE = {
    "grouped": "other separators of thousands",
    "truth": "other truth values",
    "unit": "others of the column",
}


def read(
    path: Path, options: ReadOptions, wanted: Sequence[str], *, sep: str | None = None
) -> Contents:
    """
    Read a table of numbers; its separator, decimal mark and header are recognized.

    Args:
        wanted: The columns of a model, see `columns.choose`.
        sep: The separator that the name of the file says.

    Raises:
        NotANumberError: A cell that is used is missing or a text.
        DataError: Another is not a finite number, lines differ in length, or the table
            can be read in several ways.
    """
    return text_table.read(path, options, wanted, sep, _read)


def _read(source: TextTable) -> Contents:
    body, rows = _Body(source), TextRows(source)
    for line, cells in rows:
        body.add(line, cells)
    x = body.x()
    y, about_labels = source.classes(body.labels)
    numbers = np.array(body.lines, dtype=np.int64)
    about_sums = sums.note(source.origin, numbers, x.T)
    origin = replace(source.origin, column_units=body.column_units)
    return Contents(
        name=source.name,
        rows=StoredRows(x, y, numbers, origin),
        source=f"the table {source.path.name}",
        notes=(
            *source.notes(rows.empty),
            *body.notes.values(),
            *filter(None, (about_labels, about_sums)),
            *columns.warnings(source.table, source.choice, x),
            *source.decoding,
        ),
    )


@final
@dataclass(eq=False)
class _Body:
    """The rows of a table while they are read."""

    source: TextTable
    values: "array[float]" = field(default_factory=lambda: array("d"))
    lines: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    units: dict[tuple[int, str], int] = field(default_factory=dict)
    plain_line: int | None = None

    def __post_init__(self) -> None:
        choice, table = self.source.choice, self.source.table
        self._takes_all = choice.x == tuple(range(table.n_columns))
        self._floats: Callable[[Sequence[str]], list[float]] = (
            _with_point if self.source.how.decimal == "." else _with_comma
        )

    def add(self, line: int, cells: list[str]) -> None:
        """Add a row."""
        choice = self.source.choice
        used = cells if self._takes_all else [cells[i] for i in choice.x]
        try:
            self.values.extend(self._floats(used))
            self.plain_line = self.plain_line or line
        except ValueError:
            self.values.extend([self._number(line, i, c) for i, c in enumerate(used)])
        self.lines.append(line)
        if choice.label is not None:
            self.labels.append(cells[choice.label].strip())

    def x(self) -> NDArray[np.float64]:
        """Return the numbers, (N, D), all finite and each column in one unit."""
        self._check_units()
        x = np.frombuffer(self.values, dtype=np.float64).reshape(len(self.lines), -1)
        for n, d in np.argwhere(~np.isfinite(x))[:1].tolist():
            raise self._refusal(self.lines[n], d, str(x[n, d]))
        return x

    @property
    def column_units(self) -> tuple[ColumnUnit, ...]:
        """The units of the columns that have one."""
        found = self.units.items()
        return tuple(ColumnUnit(i, unit, line) for (i, unit), line in found if unit)

    def _number(self, line: int, i: int, cell: str) -> float:
        found = numerals.read_with_unit(cell, self.source.how.decimal)
        if found is None:
            raise self._refusal(line, i, cell)
        self.units.setdefault((i, found.unit), line)
        key = f"{found.kind} {i if found.kind == 'unit' else ''}"
        if found.kind != "number" and key not in self.notes:
            self.notes[key] = (
                f"{self.source.origin.value(line, (i,))} holds {cell.strip()}, read as"
                f" {found.value:.15g}; {_LIKEWISE[found.kind]} likewise"
            )
        return found.value

    def _check_units(self) -> None:
        """Check that no column has numbers with a unit and others without, or two."""
        units = dict(self.units)
        if self.plain_line is not None:
            units |= {(i, ""): self.plain_line for i, _ in self.units}
        first: dict[int, str] = {}
        for (i, unit), line in units.items():
            if first.setdefault(i, unit) != unit:
                raise self._mixed_units(i, line, (first[i], unit))

    def _mixed_units(self, i: int, line: int, units: Sequence[str]) -> DataError:
        reference = self.source.table.reference(self.source.choice.x[i])
        one, other = (f"in {unit!r}" if unit else "without a unit" for unit in units)
        return DataError(
            f"{self.source.origin.value(line, (i,))} has a number {other}, and others"
            f" of the column are {one}: write all in one unit, or --drop {reference}"
            " leaves the column out"
        )

    def _refusal(self, line: int, i: int, cell: str) -> DataError:
        """Return the error for a cell that is no number, with the option that helps."""
        source = self.source
        table, sep = source.table, source.how.sep
        reference = table.reference(source.choice.x[i])
        place, shown = source.origin.value(line, (i,)), repr(cell[:_LONGEST_SHOWN])
        drop = f"--drop {reference} leaves the column out"
        other: numerals.Decimal = "," if source.how.decimal == "." else "."
        error: type[DataError] = DataError
        if is_missing_number(cell):
            error = NotANumberError
            why = f"a missing value: fill it in or remove the row; {drop}"
        elif numerals.read(cell, other) is not None:
            why = (
                f"and numbers have the decimal mark {source.how.decimal!r}:"
                f" --decimal {other} says the other"
            )
        elif any(other in cell for other in dialect.NAMES if other not in (sep, " ")):
            why = (
                f"and cells are separated by {dialect.NAMES.get(sep, repr(sep))}: --sep"
                f" says another separator; {drop}"
            )
        else:
            error = NotANumberError
            why = f"expected a number: {drop}, --label {reference} takes it as labels"
        return error(f"{place} holds {shown}, {why}")


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
