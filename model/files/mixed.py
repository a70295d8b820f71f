"""Tables of mixed columns in text: numbers, texts and missing cells."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from model.files import numerals, text_table
from model.files.contents import DataError, Origin
from model.files.numerals import Decimal
from model.files.options import ReadOptions
from model.files.text_table import TextTable
from model.tables.cells import is_missing, n_decimals
from model.tables.raw import MAX_TEXTS, MISSING, UNKEPT, RawColumn

_MAX_CACHED = 1 << 14


@final
class NoNamesError(DataError):
    """A table has no names of its columns."""


@final
@dataclass(frozen=True, eq=False)
class MixedTable:
    """
    The columns of a file, and where its rows are.

    Attributes:
        name, source, notes: As in `Contents`.
        labels, lines, origin: As in `Rows`.
    """

    name: str
    columns: tuple[RawColumn, ...]
    labels: NDArray[Any] | None
    lines: NDArray[np.int64]
    origin: Origin
    source: str
    notes: tuple[str, ...]


def read(
    path: Path,
    options: ReadOptions,
    wanted: Sequence[str] = (),
    *,
    sep: str | None = None,
) -> MixedTable:
    """
    Read a table of any cells; its separator, decimal mark and header are recognized.

    Args:
        wanted: The columns of a model, see `columns.choose`.
        sep: The separator that the name of the file says.

    Raises:
        DataError: Lines differ in length, the table has no header, or it can be read in
            several ways.
    """
    return text_table.read(path, options, wanted, sep, _read)


def _read(source: TextTable) -> MixedTable:
    names = source.choice.names
    if not names:
        raise NoNamesError(
            f"{source.path.name} has no header, and a table of mixed columns needs"
            " names: write them in its first line"
        )
    columns = [_Cells(source.how.decimal) for _ in names]
    lines, labels = array("q"), []
    for line, cells in source.rows():
        for column, position in zip(columns, source.choice.x, strict=True):
            column.add(cells[position])
        lines.append(line)
        if source.choice.label is not None:
            labels.append(cells[source.choice.label].strip())
    y, note = source.classes(labels)
    return MixedTable(
        name=source.name,
        columns=tuple(
            column.finished(name) for column, name in zip(columns, names, strict=True)
        ),
        labels=y,
        lines=np.array(lines, np.int64),
        origin=source.origin,
        source=f"the table {source.path.name}",
        notes=(
            source.summary(),
            *source.how.notes,
            *source.choice.notes,
            *((note,) if note else ()),
            *source.decoding,
        ),
    )


@final
class _Cells:
    """The cells of a column while they are read."""

    def __init__(self, decimal: Decimal) -> None:
        self._decimal: Decimal = decimal
        self._numbers, self._index = array("d"), array("i")
        self._texts: dict[str, int] = {}
        self._known: dict[str, tuple[float, int]] = {}
        self._n_decimals = 0

    def add(self, cell: str) -> None:
        """Add a cell."""
        found = self._known.get(cell)
        if found is None:
            found = self._read(cell.strip())
            if len(self._known) < _MAX_CACHED:
                self._known[cell] = found
        self._numbers.append(found[0])
        self._index.append(found[1])

    def finished(self, name: str) -> RawColumn:
        """Return the column."""
        return RawColumn(
            name=name,
            numbers=np.frombuffer(self._numbers, np.float64),
            index=np.frombuffer(self._index, np.int32),
            texts=tuple(self._texts),
            n_decimals=self._n_decimals,
        )

    def _read(self, cell: str) -> tuple[float, int]:
        """Return the number of a cell, NaN for a text, and the index of its text."""
        if is_missing(cell):
            return np.nan, MISSING
        found = numerals.read(cell, self._decimal)
        number = np.nan
        if found is not None and found.kind != "truth":
            number = found.value
            if found.kind == "number":
                # As programs write numbers, whatever the decimal mark of the file.
                cell = cell.replace(",", ".")
                self._n_decimals = max(self._n_decimals, n_decimals(cell))
            else:
                cell = f"{number:.17g}"
        index = self._texts.get(cell)
        if index is None:
            if len(self._texts) >= MAX_TEXTS:
                return number, UNKEPT
            index = self._texts[cell] = len(self._texts)
        return number, index
