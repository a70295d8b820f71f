"""Arrays and tables of numbers in files: .npy, .npz and .csv."""

import csv
import zipfile
import zlib
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from model.data.dataset import DataError, Origin, Split, split_of
from model.data.splits import Parts

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
_VALIDATION_NAMES = ("validation", "valid", "val")


def read_npy(path: Path) -> Parts:
    """
    Read one array, (N, ...); unsigned bytes with three or four axes are images.

    Raises:
        DataError: Not an array of finite numbers with at least one row and column.
    """
    x = load_arrays(path)
    if not isinstance(x, np.ndarray):
        raise DataError(f"{path} is an .npz archive under another name")
    divided_by = _divisor(x)
    rows = split_of(x, origin=Origin(path.name), divide_by=divided_by)
    source = f"the array in {path.name}"
    return Parts(path.stem, rows, x.shape[1:], divided_by, source)


def read_npz(path: Path) -> Parts:
    """
    Read the arrays train, validation and test, or x_train ..., or x, or the only array.

    Validation and test may be missing; labels are y_train, ..., or y.

    Raises:
        DataError: No such array, different shapes, or as in `read_npy`.
    """
    archive = load_arrays(path)
    if not isinstance(archive, NpzFile):
        raise DataError(f"{path} is not an .npz archive but a single array: try .npy")
    with archive:
        name = _first(archive, "train", "x_train", "x", "X")
        if name is None and len(archive.files) == 1:
            name = archive.files[0]
        if name is None:
            raise DataError(
                f"{path}: expected an array named train, x_train or x,"
                f" got {', '.join(archive.files[:8]) or 'no array'}"
            )
        rows, x = _member(path, archive, name, _first(archive, "y_train", "y"))
        validation = _optional(path, archive, x, _VALIDATION_NAMES)
        test = _optional(path, archive, x, ("test",))
    return Parts(
        name=path.stem,
        rows=rows,
        validation=validation,
        test=test,
        data_shape=x.shape[1:],
        divided_by=_divisor(x),
        source=f"the arrays of {path.name} (training rows from {name!r})",
    )


def read_csv(path: Path) -> Parts:
    """
    Read a table of comma-separated numbers, with or without a header.

    The first line is a header if none of its cells is a number.

    Raises:
        DataError: A cell is not a finite number, or lines differ in length.
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
    rows = split_of(x, origin=origin, rows=np.array(lines, dtype=np.int64))
    return Parts(path.stem, rows, x.shape[1:], 1.0, f"the table {path.name}")


def load_arrays(path: Path) -> Any:
    """
    Return the array of a .npy file, or the archive of a .npz file, without pickle.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as NumPy arrays: {error}") from error


def _first(archive: NpzFile, *names: str) -> str | None:
    return next((name for name in names if name in archive.files), None)


def _optional(
    path: Path, archive: NpzFile, train: NDArray[Any], names: tuple[str, ...]
) -> Split | None:
    name = _first(archive, *names, *(f"x_{name}" for name in names))
    if name is None:
        return None
    labels = _first(archive, *(f"y_{name}" for name in names))
    split, x = _member(path, archive, name, labels)
    if x.shape[1:] != train.shape[1:] or _divisor(x) != _divisor(train):
        raise DataError(
            f"{path}: {name!r} must be like the training rows, {train.dtype} of shape"
            f" {('N', *train.shape[1:])}, got {x.dtype} of shape {x.shape}"
        )
    return split


def _member(
    path: Path, archive: NpzFile, name: str, labels: str | None
) -> tuple[Split, NDArray[Any]]:
    try:
        x = archive[name]
        y = None if labels is None else archive[labels]
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    origin = Origin(f"{path.name}[{name}]")
    return split_of(x, origin=origin, labels=y, divide_by=_divisor(x)), x


def _divisor(x: NDArray[Any]) -> float:
    """Return 255 for 8-bit images, else 1."""
    return 255.0 if x.dtype == np.uint8 and x.ndim in (3, 4) else 1.0


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
