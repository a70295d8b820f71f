"""Tables of Apache Parquet and Arrow, by way of pyarrow, the extra `parquet`."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.files import columns, labels
from model.files.columns import Choice, Table
from model.files.contents import Contents, DataError, Origin, Rows
from model.files.options import ReadOptions

SUFFIXES = (".parquet", ".pq", ".arrow", ".feather")
_FOR_TEXT = ("header", "sep", "decimal")


def read(path: Path, options: ReadOptions, wanted: Sequence[str]) -> Contents:
    """
    Read a table of numbers.

    Raises:
        DataError: pyarrow is not installed, the file cannot be read, or a value that is
            used is missing or not a finite number.
    """
    for name in _FOR_TEXT:
        if getattr(options, name) is not None:
            raise DataError(f"--{name} is for tables in text, not for {path.name}")
    arrow = _arrow()
    try:
        found = _load(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    table = Table(
        path.name,
        tuple(found.column_names),
        found.num_columns,
        indices=_indices(found),
    )
    choice = columns.choose(table, options, wanted)
    origin = Origin(path.name, columns=choice.names, positions=choice.x)
    x = np.empty((found.num_rows, len(choice.x)))
    for i in range(len(choice.x)):
        x[:, i] = _numbers(arrow, found, table, origin, i)
    y, note = _labels(found, table, choice)
    n = len(choice.x)
    return Contents(
        name=path.stem,
        rows=Rows.of(x, origin, labels=y),
        source=f"the table {path.name}",
        notes=(
            f"{path.name} has {n} column{'s' * (n > 1)}: {table.listed(choice.x)}",
            *choice.notes,
            *((note,) if note else ()),
            *columns.warnings(table, choice, x),
        ),
    )


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
        return parquet.read_table(path)
    with path.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = ipc.open_file(file) if is_file else ipc.open_stream(file)
        return reader.read_all()


def _indices(found: Any) -> tuple[int, ...]:
    """Return the columns that hold an index of pandas without a name."""
    metadata = json.loads((found.schema.metadata or {}).get(b"pandas", b"{}"))
    names = [
        column.get("field_name")
        for column in metadata.get("columns", ())
        if column.get("name") is None
    ]
    return tuple(i for i, name in enumerate(found.column_names) if name in names)


def _numbers(
    arrow: ModuleType, found: Any, table: Table, origin: Origin, i: int
) -> NDArray[np.float64]:
    position = origin.positions[i]
    column, types = found.column(position), arrow.types
    what = f"{table.describe(position)} of {table.file}"
    drop = f"--drop {table.reference(position)} leaves the column out"
    kind = column.type
    if types.is_decimal(kind):
        column = column.cast(arrow.float64())
    elif not (
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    ):
        raise DataError(
            f"{what} holds {kind}, expected numbers: {drop}, --label"
            f" {table.reference(position)} takes it as labels"
        )
    if column.null_count:
        row = int(column.is_null().to_numpy().argmax())
        raise DataError(
            f"{origin.value(row, (i,))} holds a missing value: fill it in or remove the"
            f" row; {drop}"
        )
    values: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DataError(
            f"{origin.value(row, (i,))} holds {values[row]}, expected a finite number;"
            f" {drop}"
        )
    return values


def _labels(
    found: Any, table: Table, choice: Choice
) -> tuple[NDArray[Any] | None, str | None]:
    if choice.label is None:
        return None, None
    values = np.array(found.column(choice.label).to_pylist())
    if values.dtype.kind == "O":
        values = values.astype(str)
    name = f"{table.describe(choice.label)} of {table.file}"
    return labels.classes(values, n=len(values), name=name)
