"""
The files of one checkpoint, opened together and verified against the manifest.

Only regular files are opened, through a descriptor of their directory, so that the
files of two checkpoints are never mixed while one replaces the other.
"""

import hashlib
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TypeVar, final

from pydantic import BaseModel, ValidationError

from model.checkpoint.directories import is_replaced, open_directory
from model.checkpoint.manifest import FileEntry, Manifest
from model.checkpoint.names import MANIFEST
from model.regular_files import open_regular, read_regular, size_of
from model.section import first_fault

MAX_JSON_BYTES = 16 << 20
MAX_FILE_BYTES = 1 << 30  # of a file that is hashed and not kept
_MAX_FILES = 64
_CHUNK_BYTES = 1 << 20
_LISTED = 3

_Schema = TypeVar("_Schema", bound=BaseModel)
_Result = TypeVar("_Result")


@final
class CheckpointError(ValueError):
    """A checkpoint is missing or damaged, or this version cannot read its format."""


@final
class Files:
    """
    The open files of one checkpoint.

    Attributes:
        path: The path of the checkpoint, for messages.
        manifest: The manifest.
        sha256: Hash of the manifest, which contains the hash of every file.
    """

    def __init__(self, path: Path, directory: int, closing: ExitStack) -> None:
        """
        Read the manifest and open every file that it lists.

        Args:
            directory: A descriptor of the checkpoint's directory.
            closing: Closes the files.

        Raises:
            CheckpointError: The manifest or a file cannot be read.
        """
        self.path = path
        content = _read_manifest(path, directory)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.manifest = parse(Manifest, content, path / MANIFEST)
        try:
            check_names(self.manifest.files)
        except ValueError as error:
            raise CheckpointError(f"{path / MANIFEST}: files: {error}") from error
        # All at once: an open file can still be read after it has been removed.
        self._open: dict[str, BinaryIO] = {}
        for name in self.manifest.files:
            try:
                file = open_regular(name, directory=directory)
            except OSError as error:
                raise _unreadable(path / name, error) from error
            self._open[name] = closing.enter_context(file)
        self._unverified = set(self.manifest.files)

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """
        Return the verified content of a file.

        Raises:
            CheckpointError: It is not in the manifest, differs from it or is too large.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise CheckpointError(f"{self.path / MANIFEST}: does not list {name}")
        self._check_size(name, entry, max_bytes)
        try:
            content = self._open[name].read(entry.size)
        except OSError as error:
            raise _unreadable(self.path / name, error) from error
        self._check_hash(name, entry, hashlib.sha256(content))
        return content

    def verify_rest(self) -> None:
        """
        Verify the files that have not been read.

        Raises:
            CheckpointError: A file differs from the manifest.
        """
        for name in sorted(self._unverified):
            entry = self.manifest.files[name]
            self._check_size(name, entry, MAX_FILE_BYTES)
            found = hashlib.sha256()
            n_left = entry.size
            try:
                while n_left > 0:
                    chunk = self._open[name].read(min(n_left, _CHUNK_BYTES))
                    if not chunk:
                        break
                    found.update(chunk)
                    n_left -= len(chunk)
            except OSError as error:
                raise _unreadable(self.path / name, error) from error
            self._check_hash(name, entry, found)

    def _check_size(self, name: str, entry: FileEntry, max_bytes: int) -> None:
        found = size_of(self._open[name])
        if found != entry.size:
            raise CheckpointError(
                f"{self.path / name}: expected {entry.size} bytes, got {found}"
            )
        if found > max_bytes:
            raise CheckpointError(
                f"{self.path / name}: expected at most {max_bytes} bytes, got {found}"
            )

    def _check_hash(self, name: str, entry: FileEntry, found: "hashlib._Hash") -> None:
        sha256 = found.hexdigest()
        if sha256 != entry.sha256:
            raise CheckpointError(
                f"{self.path / name}: expected sha256 {entry.sha256}, got {sha256}"
            )
        self._unverified.discard(name)


def read_files(path: Path, read: Callable[[Files], _Result]) -> _Result:
    """
    Read a checkpoint; if it was replaced before its files were open, read the new one.

    Raises:
        CheckpointError: There is no checkpoint, or `read` raises it.
    """
    while True:
        try:
            with open_directory(path) as directory, ExitStack() as closing:
                try:
                    return read(Files(path, directory, closing))
                except CheckpointError:
                    if not is_replaced(directory, path):
                        raise
        except OSError as error:
            raise _missing(path, error) from error


def read_manifest(path: Path) -> bytes:
    """
    Return the content of a checkpoint's manifest.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        with open_directory(path) as directory:
            return _read_manifest(path, directory)
    except OSError as error:
        raise _missing(path, error) from error


def verify(directory: str | Path) -> str:
    """
    Check every file of a checkpoint against its manifest, and return its sha256.

    Raises:
        CheckpointError: A file is missing or differs from the manifest.
    """

    def check(files: Files) -> str:
        files.verify_rest()
        return files.sha256

    return read_files(Path(directory), check)


def identity(directory: str | Path) -> str:
    """
    Return the sha256 of a checkpoint, as in `verify`, without verifying its files.

    Raises:
        CheckpointError: Its manifest cannot be read.
    """
    return hashlib.sha256(read_manifest(Path(directory))).hexdigest()


def check_names(names: Collection[str]) -> None:
    """
    Check that each file of a checkpoint lies in the directory itself.

    Raises:
        ValueError: A name is not allowed, or there are too many.
    """
    for name in names:
        if name in ("", ".", "..", MANIFEST) or "/" in name or "\0" in name:
            raise ValueError(f"expected names of files, got {name[:80]!r}")
    if len(names) > _MAX_FILES:
        raise ValueError(f"expected at most {_MAX_FILES} files, got {len(names)}")


def parse(schema: type[_Schema], content: bytes, path: Path) -> _Schema:
    """
    Parse a JSON document by a schema.

    Raises:
        CheckpointError: It does not fit the schema; the message names the field.
    """
    try:
        return schema.model_validate_json(content)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_fault(error)}") from error


def _read_manifest(path: Path, directory: int) -> bytes:
    try:
        return read_regular(MANIFEST, directory=directory, max_bytes=MAX_JSON_BYTES)
    except OSError as error:
        is_absent = isinstance(error, FileNotFoundError)
        if is_absent and not (path / MANIFEST).is_symlink():
            raise _no_checkpoint(path) from error
        raise _unreadable(path / MANIFEST, error) from error


def _no_checkpoint(path: Path) -> CheckpointError:
    below = sorted(str(manifest.parent) for manifest in path.glob(f"*/{MANIFEST}"))
    hint = f"; did you mean {' or '.join(below[:_LISTED])}?" if below else ""
    return CheckpointError(f"{path} is not a checkpoint: it has no {MANIFEST}{hint}")


def _missing(path: Path, error: OSError) -> CheckpointError:
    if isinstance(error, NotADirectoryError) and path.is_file():
        wanted = "expected a directory, got a file"
        return CheckpointError(f"no checkpoint at {path}: {wanted}")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return CheckpointError(f"no checkpoint at {path}: no such directory")
    return _unreadable(path, error)


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"{path}: cannot be read: {error.strerror}")
