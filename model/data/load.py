"""Load a data set by name or path."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from model import files
from model.config import Config
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

_MNISTS = {files.name: files for files in (mnist.MNIST, mnist.FASHION_MNIST)}
NAMES = ("digits", *_MNISTS)
_SIXTEENTHS = RawValues(16.0, {"uint8": 16.0}, (0.0, 1.0))
_DEFAULT_FRACTION = 0.1
_DIGITS = ("datasets", "data", "digits.csv.gz")  # in the folder of scikit-learn
_N_HELD_OUT = {"digits": 200}

ReadFile = Callable[[Path, ReadOptions], Parts]


def read_numbers(
    path: Path,
    reading: ReadOptions,
    *,
    model: Config | None = None,
) -> Parts:
    """
    Read a file or a folder of numbers.

    Args:
        model: The model that gets them, whose columns are found by name and whose raw
            values and units they have; None reads a file as training does.

    Raises:
        DataError: There is no such file, or it is invalid.
        NotANumberError: A cell of a table is missing or a text.
    """
    if not path.exists():
        raise DataError(
            f"{str(path)!r} is neither a known data set ({', '.join(NAMES)}) nor a"
            " path that exists"
        )
    contents = files.read_for(path, reading, None if model is None else model.data)
    x = contents.rows.values
    raw = RawValues.of_file(x) if model is None else RawValues.of_model(model)
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


def read_table(
    path: Path, reading: ReadOptions, *, model: Config | None = None
) -> Parts:
    """
    Read a table of mixed columns.

    Args:
        model: The model that gets it, whose columns it has; None takes those that
            --columns names, or infers them.

    Raises:
        DataError: The table is invalid, or a cell does not fit its column.
    """
    if model is not None:
        return mixed.read(path, reading, model.table, model.data)
    file = mixed.schema_file(reading)
    schema = None if file is None else mixed.read_schema(file)
    return mixed.read(path, reading, schema)


def read_numbers_or_table(path: Path, reading: ReadOptions) -> Parts:
    """
    Read numbers, or a table of mixed columns if a cell is missing or a text.

    It is a table as well if --columns names a file.

    Raises:
        DataError: The file is invalid.
    """
    if mixed.schema_file(reading) is not None:
        return read_table(path, reading)
    try:
        return read_numbers(path, reading)
    except NotANumberError as error:
        not_a_number = error
    try:
        return read_table(path, reading)
    except NoNamesError as error:
        raise DataError(f"{not_a_number}; {error}") from error


def load(
    name_or_path: str,
    *,
    data_dir: Path | None = None,
    validation_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    reading: ReadOptions | None = None,
    read_file: ReadFile = read_numbers,
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
        read_file: Reads a file or a folder: `read_numbers`, `read_table` or
            `read_numbers_or_table`.

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
        parts = read_file(Path(name_or_path), reading)
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
