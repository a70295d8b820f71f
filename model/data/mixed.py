"""Data sets that are tables of mixed columns: their schema, and rows as codes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from model.data.dataset import Split
from model.data.splits import Parts
from model.data_config import Data
from model.files import DataError, MixedTable, ReadOptions, column_units, read_mixed
from model.files.contents import ColumnUnit
from model.raw_values import PLAIN
from model.section import first_fault
from model.tables.inference import (
    ColumnsError,
    UnknownCellError,
    codes_of,
    infer,
    unit_of,
)
from model.tables.layout import limits
from model.tables.schema import TableColumn, TableSchema

_SUFFIX = ".json"
_MAX_BYTES = 16 << 20


def schema_file(reading: ReadOptions) -> Path | None:
    """Return the file of columns that --columns names, None if it names columns."""
    columns = reading.columns
    is_file = len(columns) == 1 and columns[0].endswith(_SUFFIX)
    return Path(columns[0]) if is_file else None


def read_schema(path: Path) -> TableSchema:
    """
    Read a file of columns, such as training writes.

    Raises:
        DataError: It cannot be read, or is invalid.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
        schema = TableSchema.model_validate_json(content)
    except OSError as error:
        raise DataError(f"--columns {path} cannot be read: {error}") from error
    except ValidationError as error:
        raise DataError(f"--columns {path}: {first_fault(error)}") from error
    return schema.model_copy(update={"n_knots": 0})


def read(
    path: Path,
    reading: ReadOptions,
    schema: TableSchema | None,
    trained: Data | None = None,
) -> Parts:
    """
    Read a table of mixed columns.

    Args:
        schema: Its columns; inferred from all rows if None.
        trained: The training data of the model that gets the rows, if there is one.

    Raises:
        DataError: A cell does not fit its column, or no column is left.
    """
    named = replace(reading, columns=()) if schema is not None else reading
    table = read_mixed(path, named, () if schema is None else schema.names)
    notes = table.notes
    if schema is None:
        try:
            schema = infer(table.columns)
        except UnknownCellError as error:
            raise _at_line(table, error) from error
        except ColumnsError as error:
            raise DataError(f"{path.name}: {error}") from error
        notes = (*notes, *schema.describe())
    origin = replace(
        table.origin,
        columns=schema.names,
        positions=(),
        column_units=_column_units(table, schema),
    )
    if trained is not None:
        notes = (*notes, *column_units.check(origin, trained))
    codes = _codes(table, schema)
    return Parts(
        name=table.name,
        rows=Split(
            x=codes,
            labels=table.labels,
            rows=table.lines,
            origin=origin,
        ),
        data_shape=(len(schema.columns),),
        raw=PLAIN,
        source=table.source,
        notes=notes,
        table=schema,
    )


def _column_units(table: MixedTable, schema: TableSchema) -> tuple[ColumnUnit, ...]:
    """Return the units of the columns of a schema that have one in a file."""
    by_name = {column.name: column for column in table.columns}
    return tuple(
        ColumnUnit(j, unit, int(table.lines[by_name[column.name].first_number]))
        for j, column in enumerate(schema.columns)
        if (unit := unit_of(by_name[column.name], column))
    )


def _codes(table: MixedTable, schema: TableSchema) -> NDArray[np.float64]:
    """Return the codes of all rows, (N, C)."""
    by_name = {column.name: column for column in table.columns}
    codes = np.empty((len(table.lines), len(schema.columns)))
    for j, column in enumerate(schema.columns):
        try:
            codes[:, j] = codes_of(by_name[column.name], column)
        except UnknownCellError as error:
            raise _at_line(table, error) from error
        if not schema.n_knots:  # a model is to be trained
            _check_limits(table, column, codes[:, j])
    return codes


def _check_limits(
    table: MixedTable, column: TableColumn, codes: NDArray[np.float64]
) -> None:
    is_below = codes < limits(column)[0]
    if is_below.any():
        row = int(np.argmax(is_below))
        place = table.origin.example(int(table.lines[row]))
        raise DataError(
            f"{place}, column {column.name!r} holds {codes[row]:g}; a column of the"
            f" kind {column.kind} has no negative numbers: edit its kind in --columns"
        )


def _at_line(table: MixedTable, error: UnknownCellError) -> DataError:
    place = table.origin.example(int(table.lines[error.row]))
    return DataError(f"{place}, {error}")
