"""Tables of numbers in text: .csv, .tsv and the like, plain or gzip."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from model.files import columns, dialect, numerals, text_table
from model.files.contents import Contents, DataError, Rows
from model.files.options import ReadOptions
from model.files.text_table import TextTable

_LONGEST_SHOWN = 40  # characters of a cell


@final
class NotANumberError(DataError):
    """A cell of a table of numbers is missing or a text."""


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
    body = _Body(source)
    for line, cells in source.rows():
        body.add(line, cells)
    x = body.x()
    y, note = source.classes(body.labels)
    numbers = np.array(body.lines, dtype=np.int64)
    return Contents(
        name=source.name,
        rows=Rows(x, y, numbers, source.origin),
        source=f"the table {source.path.name}",
        notes=(
            source.summary(),
            *source.how.notes,
            *source.choice.notes,
            *body.notes.values(),
            *((note,) if note else ()),
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
        except ValueError:
            self.values.extend([self._number(line, i, c) for i, c in enumerate(used)])
        self.lines.append(line)
        if choice.label is not None:
            self.labels.append(cells[choice.label].strip())

    def x(self) -> NDArray[np.float64]:
        """Return the numbers, (N, D), all finite."""
        x = np.frombuffer(self.values, dtype=np.float64).reshape(len(self.lines), -1)
        for n, d in np.argwhere(~np.isfinite(x))[:1].tolist():
            raise self._refusal(self.lines[n], d, str(x[n, d]))
        return x

    def _number(self, line: int, i: int, cell: str) -> float:
        found = numerals.read(cell, self.source.how.decimal)
        if found is None:
            raise self._refusal(line, i, cell)
        if found.kind != "number" and found.kind not in self.notes:
            what = {"grouped": "separators of thousands", "truth": "truth values"}
            self.notes[found.kind] = (
                f"{self.source.origin.value(line, (i,))} holds {cell.strip()}, read as"
                f" {found.value:.15g}; other {what[found.kind]} likewise"
            )
        return found.value

    def _refusal(self, line: int, i: int, cell: str) -> DataError:
        """Return the error for a cell that is no number, with the option that helps."""
        source = self.source
        table, sep = source.table, source.how.sep
        reference = table.reference(source.choice.x[i])
        place, shown = source.origin.value(line, (i,)), repr(cell[:_LONGEST_SHOWN])
        drop = f"--drop {reference} leaves the column out"
        other: numerals.Decimal = "," if source.how.decimal == "." else "."
        error: type[DataError] = DataError
        if numerals.is_missing(cell):
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
