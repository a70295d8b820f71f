"""Arrays of numbers in files: .npy and .npz."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from model.files.contents import Contents, DataError, Origin, Rows

_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
_VALIDATION_NAMES = ("validation", "valid", "val")


def read_npy(path: Path) -> Contents:
    """
    Read one array, (N, ...).

    Raises:
        DataError: It is not an array.
    """
    x = load_arrays(path)
    if not isinstance(x, np.ndarray):
        raise DataError(f"{path} is an .npz archive under another name")
    rows = Rows.of(x, Origin(path.name))
    return Contents(path.stem, rows, f"the array in {path.name}")


def read_npz(path: Path) -> Contents:
    """
    Read the arrays train, validation and test, or x_train ..., or x, or the only array.

    Validation and test may be missing; labels are y_train, ..., or y.

    Raises:
        DataError: No such array, or different shapes.
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
        rows = _member(path, archive, name, _first(archive, "y_train", "y"))
        validation = _optional(path, archive, rows, _VALIDATION_NAMES)
        test = _optional(path, archive, rows, ("test",))
    return Contents(
        name=path.stem,
        rows=rows,
        validation=validation,
        test=test,
        source=f"the arrays of {path.name} (training rows from {name!r})",
    )


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
    path: Path, archive: NpzFile, train: Rows, names: tuple[str, ...]
) -> Rows | None:
    name = _first(archive, *names, *(f"x_{name}" for name in names))
    if name is None:
        return None
    labels = _first(archive, *(f"y_{name}" for name in names))
    rows = _member(path, archive, name, labels)
    x, wanted = rows.values, train.values
    reals = x.dtype.kind == wanted.dtype.kind == "f"
    if x.shape[1:] != wanted.shape[1:] or not (reals or x.dtype == wanted.dtype):
        raise DataError(
            f"{path}: {name!r} must be like the training rows, {wanted.dtype} of shape"
            f" {('N', *wanted.shape[1:])}, got {x.dtype} of shape {x.shape}"
        )
    return rows


def _member(path: Path, archive: NpzFile, name: str, labels: str | None) -> Rows:
    try:
        x = archive[name]
        y = None if labels is None else archive[labels]
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return Rows.of(x, Origin(f"{path.name}[{name}]"), labels=y)
