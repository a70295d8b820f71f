"""Arrays of numbers in files: .npy and .npz."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, final

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from model.files import labels, scratch
from model.files.contents import Contents, DataError, Origin, StoredRows
from model.files.layout import channels_last
from model.files.options import LayoutName, ReadOptions

_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,  # a member that is no .npy
    zipfile.BadZipFile,
    zlib.error,
)
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
_X = ("x", "images", "data", "features")
_Y = ("y", "labels", "label", "targets", "target")
_WHOLE_X = ("x", "data", "images", "imgs", "features", "samples", "arr_0")
_WHOLE_Y = (*_Y, "classes")
_CHUNK = 1 << 24


def read_npy(path: Path, options: ReadOptions) -> Contents:
    """
    Read one array, (N, ...), memory-mapped.

    Raises:
        DataError: It is not an array, or its axes can be read in several ways.
    """
    if options.x_key is not None:
        raise DataError(f"--x-key is for .npz, {path.name} has one array")
    x = _mapped(path)
    if not isinstance(x, np.ndarray):
        raise DataError(f"{path} is an .npz archive under another name")
    x, note = channels_last(x, options.layout, file=path.name)
    return Contents(
        path.stem,
        StoredRows.of(x, Origin(path.name)),
        f"the array in {path.name}",
        notes=(note,) if note else (),
    )


def read_npz(path: Path, options: ReadOptions) -> Contents:
    """
    Read the array of --x-key, or those with usual names; see `_found`.

    Validation and test rows may be missing. Labels that are none are passed over.

    Raises:
        DataError: No such array, or splits of different shapes.
    """
    archive = load_arrays(path)
    if not isinstance(archive, NpzFile):
        raise DataError(f"{path} is not an .npz archive but a single array: try .npy")
    with archive:
        members = _Members(path, archive, options.layout)
        x, y = _found(members, options.x_key)
        rows, notes = members.rows(x["train"], y.get("train"))
        others: dict[str, StoredRows] = {}
        for split in [split for split in x if split != "train"]:
            others[split], more = members.rows(x[split], y.get(split))
            _check_alike(path, x[split], others[split], rows)
            notes += tuple(note for note in more if note not in notes)
    if len(members.names) > 1:
        used = ", ".join([*x.values(), *y.values()])
        notes = (
            f"{path.name} is read from its arrays {used} of {members.listed()}",
            *notes,
        )
    return Contents(
        name=path.stem,
        rows=rows,
        validation=others.get("validation"),
        test=others.get("test"),
        source=f"the arrays of {path.name} (training rows from {x['train']!r})",
        notes=notes,
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
        why = _reason(error, path)
        raise DataError(f"{path} cannot be read as NumPy arrays: {why}") from error


def _reason(error: Exception, path: Path | None = None) -> str:
    """Return why an array cannot be read; NumPy's words may advise to unpickle it."""
    if "pickle" not in str(error):
        return str(error)
    if path is not None and not _start(path).startswith((b"\x93NUMPY", b"PK")):
        return "it is no file that numpy.save or numpy.savez wrote"
    return (
        "it holds Python objects, which are never unpickled: save its numbers, such as"
        " x.astype(numpy.float32)"
    )


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


def _mapped(path: Path) -> Any:
    """Return the array of a .npy file without reading it into memory."""
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except _UNREADABLE:
        return load_arrays(path)  # an empty array cannot be mapped


@final
@dataclass(frozen=True, eq=False)
class _Members:
    """The arrays of an archive."""

    path: Path
    archive: NpzFile
    layout: LayoutName | None

    @property
    def names(self) -> list[str]:
        """Their names."""
        return list(self.archive.files)

    def listed(self) -> str:
        """Return the first of their names."""
        more = f" and {len(self.names) - 8} more" if len(self.names) > 8 else ""
        return (", ".join(self.names[:8]) or "no array") + more

    def rows(self, name: str, label: str | None) -> tuple[StoredRows, tuple[str, ...]]:
        """Return the rows of an array, with labels, and what is to be said of them."""
        file = f"{self.path.name}[{name}]"
        x, note = channels_last(self.array(name), self.layout, file=file)
        notes = [note] if note else []
        rows = StoredRows.of(x, Origin(file))
        if label is not None:
            rows, note = self._labeled(rows, label)
            notes += [note] if note else []
        return rows, tuple(notes)

    def _labeled(self, rows: StoredRows, label: str) -> tuple[StoredRows, str | None]:
        """Return rows with labels if an array has some, and what is to be said."""
        what = f"{label!r} of {self.path.name}"
        try:
            stored = self.array(label)
        except DataError as error:  # such as Python objects, which are never unpickled
            return rows, f"{what} is passed over: {error}"
        y, note = labels.classes(stored, n=len(rows.values), name=what)
        return replace(rows, labels=y), note

    def is_x(self, name: str) -> bool:
        """Say whether an array has rows of several numbers."""
        try:
            shape, dtype = self._header(name)
        except _UNREADABLE:
            return False
        return len(shape) > 1 and shape[1] > 1 and dtype.kind in "biuf"

    def array(self, name: str) -> NDArray[Any]:
        """Return an array; a large one is memory-mapped."""
        try:
            shape, dtype = self._header(name)
            n_bytes = int(np.prod(shape)) * dtype.itemsize
            if n_bytes > scratch.limit() and not dtype.hasobject:
                return self._unpacked(name)
            array: NDArray[Any] = self.archive[name]
        except _UNREADABLE as error:
            raise DataError(f"{self.path} cannot be read: {_reason(error)}") from error
        return array

    def _opened(self, name: str) -> IO[bytes]:
        assert self.archive.zip is not None  # noqa: S101 it is open
        return self.archive.zip.open(f"{name}.npy")

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        with self._opened(name) as file:
            shape, _, dtype = _read_header(file)
        return shape, dtype

    def _unpacked(self, name: str) -> NDArray[Any]:
        with self._opened(name) as file:
            shape, is_fortran, dtype = _read_header(file)
            stored = scratch.empty(shape[::-1] if is_fortran else shape, dtype)
            flat = stored.reshape(-1).view(np.uint8)
            for start in range(0, len(flat), _CHUNK):
                part = file.read(min(_CHUNK, len(flat) - start))
                flat[start : start + _CHUNK] = np.frombuffer(part, np.uint8)
        return stored.T if is_fortran else stored


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    read = {(1, 0): npy.read_array_header_1_0}.get(
        npy.read_magic(file), npy.read_array_header_2_0
    )
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(file)
    return header


def _found(
    members: _Members, x_key: str | None
) -> tuple[dict[str, str], dict[str, str]]:
    """
    Return the names of examples and labels, by split.

    Names of splits are x_train, train_x, train_images, train and the like, in upper or
    lower case; without them x, data, images, ..., or the only array. Labels have the
    same names with y, labels or target.

    Raises:
        DataError: There is no such array.
    """
    known = {name.lower(): name for name in reversed(members.names)}
    x = {
        s: n
        for s, words in _SPLITS.items()
        if (n := _first(known, (*_of_split(s, _X), *words)))
    }
    y = {s: n for s in x if (n := _first(known, _of_split(s, _Y)))}
    if x_key is not None and x_key not in members.names:
        raise DataError(
            f"--x-key {x_key}: {members.path} has no such array, it has"
            f" {members.listed()}"
        )
    if "train" in x and x_key in (None, x["train"]):
        return x, y
    name = x_key or _first(known, _WHOLE_X) or _only(members)
    label = _first(known, _WHOLE_Y)
    return {"train": name}, {"train": label} if label not in (None, name) else {}


def _of_split(split: str, kinds: Sequence[str]) -> list[str]:
    """Return x_train, train_x, ... in the order in which they are looked for."""
    pairs = [(kind, word) for word in _SPLITS[split] for kind in kinds]
    return [name for k, w in pairs for name in (f"{k}_{w}", f"{w}_{k}", f"{k}{w}")]


def _first(known: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((known[name] for name in names if name in known), None)


def _only(members: _Members) -> str:
    """Return the only array, or the only one that has rows of several numbers."""
    many = [n for n in members.names if len(members.names) == 1 or members.is_x(n)]
    if len(many) == 1:
        return many[0]
    raise DataError(
        f"{members.path}: expected an array named train, x_train or x, got"
        f" {members.listed()}: --x-key names the one with the examples"
    )


def _check_alike(path: Path, name: str, rows: StoredRows, train: StoredRows) -> None:
    x, wanted = rows.values, train.values
    reals = x.dtype.kind == wanted.dtype.kind == "f"
    if x.shape[1:] != wanted.shape[1:] or not (reals or x.dtype == wanted.dtype):
        raise DataError(
            f"{path}: {name!r} must be like the training rows, {wanted.dtype} of shape"
            f" {('N', *wanted.shape[1:])}, got {x.dtype} of shape {x.shape}"
        )
