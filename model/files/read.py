"""Read a file or a folder with the reader of its kind."""

from collections.abc import Callable, Mapping
from pathlib import Path

from model.files import arrays, pictures, tables
from model.files.contents import Contents, DataError

_READERS: Mapping[str, Callable[[Path], Contents]] = {
    ".npy": arrays.read_npy,
    ".npz": arrays.read_npz,
    ".csv": tables.read_csv,
}
SUFFIXES = tuple(_READERS)


def read(path: Path) -> Contents:
    """
    Read a file of a known kind, or a folder of pictures.

    Raises:
        DataError: It is of no known kind, cannot be read, or is invalid.
    """
    try:
        if path.is_dir():
            return pictures.read(path)
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise DataError(
                f"{path} is of no known kind: expected {', '.join(SUFFIXES)} or a"
                " folder of images"
            )
        return reader(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
