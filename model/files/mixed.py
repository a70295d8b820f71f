"""Tables of mixed columns: numbers, texts and missing cells, read from text."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from model.files import sums, text_table
from model.files.contents import DataError, Origin
from model.files.mixed_cells import MixedCells
from model.files.options import ReadOptions
from model.files.text_table import TextRows, TextTable
from model.tables.raw import RawColumn


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
        labels, origin: As in `StoredRows`.
        lines: The place of each row in the origin, (N,).
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
    columns = [MixedCells(name, source.how.decimal) for name in names]
    lines, labels = array("q"), []
    rows = TextRows(source)
    for line, cells in rows:
        for column, position in zip(columns, source.choice.x, strict=True):
            column.add(cells[position])
        lines.append(line)
        if source.choice.label is not None:
            labels.append(cells[source.choice.label].strip())
    y, about_labels = source.classes(labels)
    finished = tuple(column.finished() for column in columns)
    about_numbers = [note for column in columns for note in column.notes()]
    about_sums = sums.note(
        source.origin,
        lines,
        (column.numbers for column in finished),
        (word for column in finished if (word := column.last_word) is not None),
    )
    return MixedTable(
        name=source.name,
        columns=finished,
        labels=y,
        lines=np.array(lines, np.int64),
        origin=source.origin,
        source=f"the table {source.path.name}",
        notes=(
            *source.notes(rows.empty),
            *filter(None, (*about_numbers, about_labels, about_sums)),
            *source.decoding,
        ),
    )
