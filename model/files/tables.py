"""Tables of numbers in text: .csv."""

import csv
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from model.files.contents import Contents, DataError, Origin, Rows


def read_csv(path: Path) -> Contents:
    """
    Read a table of comma-separated numbers, with or without a header.

    The first line is a header if none of its cells is a number.

    Raises:
        DataError: A cell is not a number, or lines differ in length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns, values, lines = _parse_csv(path, csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not lines:
        raise DataError(f"{path} holds no rows")
    x = np.frombuffer(values, dtype=np.float64).reshape(len(lines), -1)
    origin = Origin(path.name, unit="line", columns=columns)
    rows = Rows(x, None, np.array(lines, dtype=np.int64), origin)
    return Contents(path.stem, rows, f"the table {path.name}")


def _parse_csv(
    path: Path, reader: Any
) -> tuple[tuple[str, ...], "array[float]", list[int]]:
    columns: tuple[str, ...] = ()
    values, lines = array("d"), list[int]()
    width = None
    for cells in filter(None, reader):
        if width is None:
            width = len(cells)
            if not any(map(_is_number, cells)):
                columns = _header(path, cells)
                continue
        if len(cells) != width:
            raise DataError(
                f"line {reader.line_num} of {path.name} has {len(cells)} cells,"
                f" expected {width} as in the first line"
            )
        values.extend(_numbers(path, reader.line_num, columns, cells))
        lines.append(reader.line_num)
    return columns, values, lines


def _header(path: Path, cells: list[str]) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    if "" in columns:
        raise DataError(
            f"the header of {path.name} has no name for column {columns.index('') + 1}:"
            " name it, or leave it out if it only counts the rows"
        )
    return columns


def _numbers(
    path: Path, line: int, columns: tuple[str, ...], cells: list[str]
) -> list[float]:
    try:
        if "_" not in "".join(cells):
            return list(map(float, cells))
    except ValueError:
        pass
    i = next(i for i, cell in enumerate(cells) if not _is_number(cell))
    place = Origin(path.name, unit="line", columns=columns).value(line, (i,))
    raise DataError(
        f"{place} holds {cells[i][:40]!r}; every cell must be a number, and cells are"
        " separated by commas"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000 as a number; a CSV file should not
