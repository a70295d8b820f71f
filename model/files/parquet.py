"""Tables of Apache Parquet and Arrow, by way of pyarrow, the extra `parquet`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from model.files import columns, labels, sums
from model.files.arrow_cells import cells
from model.files.columns import ChosenColumns, FileColumns
from model.files.contents import (
    Contents,
    DataError,
    NotANumberError,
    Origin,
    StoredRows,
)
from model.files.mixed import MixedTable
from model.files.mixed_cells import MixedCells
from model.files.options import ReadOptions

SUFFIXES = (".parquet", ".pq", ".arrow", ".feather")
_BLOCK_ROWS = 1 << 14  # of a column that are in memory as objects
_FOR_TEXT = ("header", "sep", "decimal")


def read(path: Path, options: ReadOptions, wanted: Sequence[str]) -> Contents:
    """
    Read a table of numbers.

    Raises:
        NotANumberError: A value that is used is missing or no number.
        DataError: pyarrow is not installed, the file cannot be read, or a number that
            is used is not finite.
    """
    source = _opened(path, options, wanted)
    choice, origin = source.choice, source.origin
    x = np.empty((source.found.num_rows, len(choice.x)))
    for i in range(len(choice.x)):
        x[:, i] = _numbers(source, i)
    y, note = _labels(source)
    return Contents(
        name=path.stem,
        rows=StoredRows.of(x, origin, labels=y),
        source=f"the table {path.name}",
        notes=(
            *source.notes(note, sums.note(origin, range(len(x)), x.T)),
            *columns.warnings(source.table, choice, x),
        ),
    )


def read_mixed(
    path: Path, options: ReadOptions, wanted: Sequence[str] = ()
) -> MixedTable:
    """
    Read a table of any cells: as the same cells are read from text.

    Raises:
        DataError: pyarrow is not installed, the file cannot be read, or a column that
            is used has values of several parts.
    """
    source = _opened(path, options, wanted)
    rows, source = source.without_empty_rows()
    found = [MixedCells(name, ".") for name in source.choice.names]
    for position, column in zip(source.choice.x, found, strict=True):
        for cell in source.cells(position):
            column.add(cell)
    y, note = _labels(source)
    finished = tuple(column.finished() for column in found)
    words = [word for column in finished if (word := column.last_word) is not None]
    about_sums = sums.note(
        source.origin, rows, (column.numbers for column in finished), words
    )
    about_numbers = [note for column in found for note in column.notes()]
    return MixedTable(
        name=path.stem,
        columns=finished,
        labels=y,
        lines=rows,
        origin=source.origin,
        source=f"the table {path.name}",
        notes=source.notes(*about_numbers, note, about_sums),
    )


@final
@dataclass(frozen=True, eq=False)
class _ArrowTable:
    """
    A table in memory whose columns are chosen.

    Attributes:
        found: A table of pyarrow.
    """

    arrow: ModuleType
    found: Any
    table: FileColumns
    choice: ChosenColumns

    @property
    def origin(self) -> Origin:
        """Where the rows are from."""
        return Origin(
            self.table.file, columns=self.choice.names, positions=self.choice.x
        )

    def notes(self, *more: str | None) -> tuple[str, ...]:
        """Return how the table is read, in sentences, and more of them."""
        n = len(self.choice.x)
        listed = self.table.listed(self.choice.x)
        return (
            f"{self.table.file} has {n} column{'s' * (n > 1)}: {listed}",
            *self.choice.notes,
            *filter(None, more),
        )

    def without_empty_rows(self) -> tuple[NDArray[np.int64], Self]:
        """
        Return the rows that have a value, and the table of these alone.

        Raises:
            DataError: There is none.
        """
        has_value = np.zeros(self.found.num_rows, np.bool_)
        for column in self.found.columns:
            has_value |= column.is_valid().to_numpy()
        rows = np.flatnonzero(has_value)
        if has_value.all():
            return rows, self
        found = self.found.filter(self.arrow.array(has_value))
        if not found.num_rows:
            raise DataError(f"{self.table.file} holds no rows with a value")
        return rows, replace(self, found=found)

    def cells(self, position: int) -> Iterator[str]:
        """
        Yield the cells of a column as programs write them in text.

        Raises:
            DataError: They have several parts, or are dates that Python cannot hold.
        """
        column, types = self.found.column(position), self.arrow.types
        kind = column.type
        if types.is_dictionary(kind):
            kind = kind.value_type
        is_binary = types.is_binary(kind) or types.is_fixed_size_binary(kind)
        if types.is_nested(kind) or is_binary or types.is_large_binary(kind):
            raise DataError(
                f"{self.table.describe(position)} of {self.table.file} holds {kind},"
                " expected numbers, texts, truth values or dates: --drop"
                f" {self.table.reference(position)} leaves the column out"
            )
        for start in range(0, self.found.num_rows, _BLOCK_ROWS):
            try:
                found = cells(column.slice(start, _BLOCK_ROWS), self.arrow)
            except (OverflowError, ValueError) as error:
                raise DataError(
                    f"{self.table.describe(position)} of {self.table.file} cannot be"
                    f" read: {error}; --drop {self.table.reference(position)} leaves"
                    " the column out"
                ) from error
            for cell in found:
                yield "" if cell is None else str(cell)


def _opened(path: Path, options: ReadOptions, wanted: Sequence[str]) -> _ArrowTable:
    for name in _FOR_TEXT:
        if getattr(options, name) is not None:
            raise DataError(f"--{name} is for tables in text, not for {path.name}")
    arrow = _arrow()
    try:
        found = _without_views(_load(path), arrow)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not found.num_rows:
        raise DataError(f"{path.name} holds no rows")
    table = FileColumns(
        path.name,
        tuple(found.column_names),
        found.num_columns,
        indices=_indices(found),
    )
    return _ArrowTable(arrow, found, table, columns.choose(table, options, wanted))


def _arrow() -> ModuleType:
    try:
        import pyarrow  # noqa: PLC0415 an extra
    except ModuleNotFoundError as error:
        raise DataError(
            "Parquet and Arrow files need pyarrow, from the extra `parquet`: pip"
            " install '.[parquet]' where the sources of vae-service are"
        ) from error
    module: ModuleType = pyarrow
    return module


def _load(path: Path) -> Any:
    # Extras, which `_arrow` has found.
    from pyarrow import ipc, parquet  # noqa: PLC0415

    if path.suffix.lower() in (".parquet", ".pq"):
        with parquet.ParquetFile(path) as stored:  # also if names come twice
            return stored.read()
    with path.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = ipc.open_file(file) if is_file else ipc.open_stream(file)
        return reader.read_all()


def _without_views(found: Any, arrow: ModuleType) -> Any:
    """Return a table whose texts are of a type that pyarrow can compute with."""
    usual = {
        arrow.string_view(): arrow.large_string(),
        arrow.binary_view(): arrow.large_binary(),
    }
    for i, field in enumerate(found.schema):
        kind = usual.get(field.type)
        if kind is not None:
            found = found.set_column(i, field.name, found.column(i).cast(kind))
    return found


def _indices(found: Any) -> tuple[int, ...]:
    """Return the columns that hold an index of pandas without a name."""
    metadata = json.loads((found.schema.metadata or {}).get(b"pandas", b"{}"))
    names = [
        column.get("field_name")
        for column in metadata.get("columns", ())
        if column.get("name") is None
    ]
    return tuple(i for i, name in enumerate(found.column_names) if name in names)


def _numbers(source: _ArrowTable, i: int) -> NDArray[np.float64]:
    arrow, table, origin = source.arrow, source.table, source.origin
    position = origin.positions[i]
    column, types = source.found.column(position), arrow.types
    what = f"{table.describe(position)} of {table.file}"
    drop = f"--drop {table.reference(position)} leaves the column out"
    kind = column.type
    if types.is_decimal(kind):
        column = column.cast(arrow.float64())
    elif not (
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    ):
        raise NotANumberError(
            f"{what} holds {kind}, expected numbers: {drop}, --label"
            f" {table.reference(position)} takes it as labels"
        )
    if column.null_count:
        row = int(column.is_null().to_numpy().argmax())
        raise NotANumberError(
            f"{origin.value(row, (i,))} holds a missing value: fill it in or remove the"
            f" row; {drop}"
        )
    values: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite))
        error = NotANumberError if np.isnan(values[row]) else DataError
        raise error(
            f"{origin.value(row, (i,))} holds {values[row]}, expected a finite number;"
            f" {drop}"
        )
    return values


def _labels(source: _ArrowTable) -> tuple[NDArray[Any] | None, str | None]:
    label = source.choice.label
    if label is None:
        return None, None
    column, types = source.found.column(label), source.arrow.types
    name = f"{source.table.describe(label)} of {source.table.file}"
    kind = column.type
    is_array = types.is_integer(kind) or types.is_floating(kind) or types.is_list(kind)
    if (is_array or types.is_boolean(kind)) and not column.null_count:
        values = np.array(column.to_pylist())
        return labels.classes(values, n=len(values), name=name)
    texts = [cell.strip() for cell in source.cells(label)]
    return labels.of_texts(texts, name=name)
