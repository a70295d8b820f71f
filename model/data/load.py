"""Load a data set by name or path."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from model import files
from model.data import mixed, mnist, splits
from model.data.dataset import Dataset, Split, split_of
from model.data.splits import Parts
from model.files import (
    DataError,
    NoNamesError,
    NotANumberError,
    Origin,
    ReadOptions,
    StoredRows,
)
from model.raw_values import RawValues
from model.tables.schema import TableSchema

_MNISTS = {files.name: files for files in (mnist.MNIST, mnist.FASHION_MNIST)}
NAMES = ("digits", *_MNISTS)
_SIXTEENTHS = RawValues(16.0, {"uint8": 16.0}, (0.0, 1.0))
_DEFAULT_FRACTION = 0.1
_DIGITS = ("datasets", "data", "digits.csv.gz")  # in the folder of scikit-learn
_N_HELD_OUT = {"digits": 200}


def load(
    name_or_path: str,
    *,
    data_dir: Path | None = None,
    validation_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    reading: ReadOptions | None = None,
    columns: Sequence[str] = (),
    raw: RawValues | None = None,
    table: TableSchema | Literal["never", "if_needed", "always"] = "never",
) -> Dataset:
    """
    Load data and split it into train, validation and test.

    Args:
        name_or_path: One of NAMES, a file of a kind in `files.SUFFIXES`, or a folder of
            pictures.
        data_dir: Folder of IDX files for mnist and fashion-mnist; None downloads them.
        validation_fraction: Fraction of the rows that are not in a given split. None
            is the convention of a named data set, or 0.1 of a file.
        test_fraction: The same for test rows; those of named data sets are fixed.
        seed: Selects the validation rows; the test rows do not depend on it.
        reading: How files are read.
        columns: The names of a model's columns, by which those of a table are found.
        raw: How a model's training read raw values; None reads a file as training does.
        table: Whether a file is read as a table of mixed columns, or the columns of a
            model of one. If needed: if a cell is missing or a text, or if --columns
            names a file.

    Raises:
        DataError: Invalid data, or options that do not fit the data.
    """
    _check_fractions(validation_fraction, test_fraction)
    _check_fit(name_or_path, data_dir, test_fraction)
    reading = reading or ReadOptions()
    if name_or_path in NAMES:
        reading.check_for("named data sets", name_or_path)
    if files := _MNISTS.get(name_or_path):
        parts = mnist.read(
            files, data_dir=data_dir, validation_fraction=validation_fraction
        )
    elif name_or_path == "digits":
        parts = _digits()
    else:
        parts = _read_path(Path(name_or_path), reading, columns, raw, table)
    n, n_default = len(parts.rows.x), _N_HELD_OUT.get(name_or_path)
    return splits.divide(
        parts,
        n_validation=_count(validation_fraction, of=n, default=n_default),
        n_test=_count(test_fraction, of=n, default=n_default),
        seed=seed,
    )


def _check_fractions(validation: float | None, test: float | None) -> None:
    for name, fraction in (("validation", validation), ("test", test)):
        if fraction is not None and not 0 < fraction < 1:
            raise DataError(
                f"expected a {name} fraction between 0 and 1, got {fraction}"
            )


def _check_fit(
    name_or_path: str, data_dir: Path | None, test_fraction: float | None
) -> None:
    if name_or_path in NAMES and test_fraction is not None:
        raise DataError(f"{name_or_path} has a fixed test set: give no test fraction")
    if name_or_path not in _MNISTS and data_dir is not None:
        raise DataError(
            f"a data directory is for {' and '.join(_MNISTS)}, not for {name_or_path!r}"
        )


def _count(fraction: float | None, *, of: int, default: int | None) -> int:
    if fraction is None and default is not None:
        return default
    return max(1, round((fraction or _DEFAULT_FRACTION) * of))


def _read_path(
    path: Path,
    reading: ReadOptions,
    columns: Sequence[str],
    raw: RawValues | None,
    table: TableSchema | Literal["never", "if_needed", "always"],
) -> Parts:
    if isinstance(table, TableSchema):
        return mixed.read(path, reading, table)
    file = mixed.schema_file(reading)
    if table != "never" and file is not None:
        return mixed.read(path, reading, mixed.read_schema(file))
    if table == "always":
        return mixed.read(path, reading, None)
    try:
        return _read(path, reading, columns, raw)
    except NotANumberError as error:
        if table == "never":
            raise
        not_a_number = error
    try:
        return mixed.read(path, reading, None)
    except NoNamesError as error:
        raise DataError(f"{not_a_number}; {error}") from error


def _read(
    path: Path, reading: ReadOptions, columns: Sequence[str], raw: RawValues | None
) -> Parts:
    if not path.exists():
        raise DataError(
            f"{str(path)!r} is neither a known data set ({', '.join(NAMES)}) nor a"
            " path that exists"
        )
    contents = files.read(path, reading, columns)
    x = contents.rows.values
    raw = raw or RawValues.of_file(x)
    return Parts(
        name=contents.name,
        rows=_split(contents.rows, raw),
        validation=contents.validation and _split(contents.validation, raw),
        test=contents.test and _split(contents.test, raw),
        data_shape=x.shape[1:],
        raw=raw,
        source=contents.source,
        background=contents.background,
        turned_gray=contents.turned_gray,
        notes=contents.notes,
    )


def _split(rows: StoredRows, raw: RawValues) -> Split:
    return split_of(
        rows.values,
        origin=rows.origin,
        labels=rows.labels,
        rows=rows.numbers,
        raw=raw,
    )


def _digits() -> Parts:
    # Its file alone, because an import of scikit-learn takes longer than this does.
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataError(
            "digits comes with scikit-learn, which is not installed: "
            "pip install '.[train]', or name another data set or a file"
        )
    file = Path(package.submodule_search_locations[0], *_DIGITS)
    try:
        rows = np.loadtxt(file, np.int64, delimiter=",")  # (N, 65), the label last
    except OSError as error:
        raise DataError(f"digits of scikit-learn cannot be read: {error}") from error
    images = rows[:, :-1].reshape(-1, 8, 8).astype(np.uint8)  # 0 to 16
    return Parts(
        name="digits",
        rows=split_of(
            images,
            labels=rows[:, -1],
            origin=Origin("digits", unit="image"),
            raw=_SIXTEENTHS,
        ),
        data_shape=images.shape[1:],
        raw=_SIXTEENTHS,
        source="handwritten digits (Alpaydin and Kaynak, 1998), in scikit-learn",
    )
