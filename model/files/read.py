"""Read a file or a folder with the reader of its kind."""

from collections.abc import Sequence
from pathlib import Path

from model.data_config import Data
from model.files import arrays, column_units, idx, mixed, parquet, pictures, tables
from model.files.contents import Contents, DataError
from model.files.mixed import MixedTable
from model.files.options import ReadOptions

_TEXTS = {
    ".csv": None,
    ".tsv": "\t",
    ".tab": "\t",
    ".txt": None,
    ".dat": None,
    ".data": None,
}
_ARRAYS = {".npy": arrays.read_npy, ".npz": arrays.read_npz}
_HINTS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".json", ".jsonl"), "save it as .csv"),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth"), "pickles are never read"),
    **dict.fromkeys((".h5", ".hdf5", ".mat", ".tfrecord"), "save its arrays as .npz"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z"), "unpack it first"),
    **dict.fromkeys((".bz2", ".xz", ".zst"), "unpack it first, or write .gz"),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), "give the folder of the pictures"),
}
SUFFIXES = (*_ARRAYS, *_TEXTS, *parquet.SUFFIXES, *idx.SUFFIXES)


def read(
    path: Path, options: ReadOptions | None = None, wanted: Sequence[str] = ()
) -> Contents:
    """
    Read a file of a known kind, or a folder of pictures.

    Args:
        wanted: The names of a model's columns, by which those of a table are found.

    Raises:
        DataError: It is of no known kind, cannot be read, or is invalid, or an option
            is not for its kind.
    """
    options = options or ReadOptions()
    try:
        if path.is_dir():
            options.check_for("folders of pictures", path.name)
            return pictures.read(path, options)
        return _read_file(path, options, wanted)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_for(path: Path, options: ReadOptions, trained: Data | None) -> Contents:
    """
    Read a file or a folder as data of a model.

    Args:
        trained: The model's training data, whose columns are found by their names; None
            reads it as `read` does.

    Raises:
        DataError: As `read`, or a column has another unit than in training.
    """
    if trained is None:
        return read(path, options)
    contents = read(path, options, trained.columns or ())
    return contents.noting(*column_units.check(contents.rows.origin, trained))


def read_mixed(
    path: Path, options: ReadOptions | None = None, wanted: Sequence[str] = ()
) -> MixedTable:
    """
    Read a table whose cells are numbers, texts or missing.

    Args:
        wanted: The names of a model's columns, by which those of a table are found.

    Raises:
        DataError: It is no table, cannot be read, or is invalid, or an option is not
            for its kind.
    """
    options = options or ReadOptions()
    kind, text = _kinds(path)
    kinds = (*_TEXTS, *parquet.SUFFIXES)
    if path.is_dir() or not {kind, text} & {*kinds}:
        raise DataError(
            f"{path}: a table of mixed columns is read from {', '.join(kinds)}; got"
            f" {kind or 'a file without a suffix'}{_hint(kind)}"
        )
    options.check_for("tables", path.name)
    try:
        if kind in parquet.SUFFIXES:
            return parquet.read_mixed(path, options, wanted)
        return mixed.read(path, options, wanted, sep=_TEXTS[text])
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _kinds(path: Path) -> tuple[str, str]:
    """Return the suffix of a file, and that of the text in it if it is compressed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-1] if suffixes else ""
    return kind, suffixes[-2] if kind == ".gz" and len(suffixes) > 1 else kind


def _read_file(path: Path, options: ReadOptions, wanted: Sequence[str]) -> Contents:
    kind, text = _kinds(path)
    if text in _TEXTS:
        options.check_for("tables", path.name)
        return tables.read(path, options, wanted, sep=_TEXTS[text])
    if idx.is_idx(path):
        options.check_for("arrays", path.name)
        return idx.read_file(path, options)
    if kind in parquet.SUFFIXES:
        options.check_for("tables", path.name)
        return parquet.read(path, options, wanted)
    if kind in _ARRAYS:
        options.check_for("arrays", path.name)
        return _ARRAYS[kind](path, options)
    raise DataError(
        f"{path} is of no known kind: expected {', '.join(SUFFIXES)} (text also with"
        f" .gz) or a folder of pictures{_hint(kind)}"
    )


def _hint(kind: str) -> str:
    """Return what to do with a file of a kind that is not read, if that is known."""
    return f"; {_HINTS[kind]}" if kind in _HINTS else ""
