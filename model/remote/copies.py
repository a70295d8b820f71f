"""
Local copies of checkpoints that are stored elsewhere.

A copy is a checkpoint directory like any other, one for each URL. The files are those
of the manifest: their names, number and sizes are checked before anything is
downloaded, and every hash before the copy is put in place, in one step. What is there
already is not downloaded again.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from model import staging
from model.checkpoint import MANIFEST, CheckpointError, verify
from model.checkpoint.directories import replacement
from model.checkpoint.files import (
    MAX_FILE_BYTES,
    MAX_JSON_BYTES,
    check_names,
    parse,
)
from model.checkpoint.manifest import FileEntry, Manifest
from model.remote.location import RemoteLocation, location
from model.remote.source import Source, UnreachableError

logger = logging.getLogger(__name__)

MAX_BYTES = 8 << 30  # of all files of a checkpoint
_TRIES = 3


def local_checkpoint(
    where: Path | RemoteLocation | str, cache: Path | None = None
) -> Path:
    """
    Return the directory of a checkpoint; one behind a URL is copied first.

    If its source cannot be reached, the copy that was made last is used, and a warning
    is logged. With a pin, a copy that has it is used without asking the source.

    Args:
        cache: Folder of copies; None for the default.

    Raises:
        CheckpointError: The checkpoint cannot be had, or is not what was expected.
    """
    if isinstance(where, str):
        where = location(where)
    if isinstance(where, Path):
        return where
    try:
        return _fetch(where, cache)
    except UnreachableError as error:
        directory = where.copy_in(cache)
        found = _verified(directory)
        if found is None:
            raise CheckpointError(f"{error}; there is no copy of it here") from error
        logger.warning("%s; the copy of it here is used: %s", error, found[:12])
        return directory


def update(where: RemoteLocation, cache: Path | None = None) -> Path:
    """
    Bring a copy up to date.

    Raises:
        CheckpointError: The checkpoint cannot be had, or is not what was expected.
    """
    try:
        return _fetch(where, cache)
    except UnreachableError as error:
        raise CheckpointError(str(error)) from error


def remote_identity(where: RemoteLocation) -> str:
    """
    Return the sha256 of the manifest behind a URL.

    Raises:
        CheckpointError: There is none.
        UnreachableError: The source does not answer.
    """
    content = Source.open(where).read(MANIFEST, max_bytes=MAX_JSON_BYTES)
    return hashlib.sha256(content).hexdigest()


def _fetch(where: RemoteLocation, cache: Path | None) -> Path:
    directory = where.copy_in(cache)
    if where.sha256 is not None and _verified(directory) == where.sha256:
        return directory
    source = Source.open(where)
    content = source.read(MANIFEST, max_bytes=MAX_JSON_BYTES)
    for _ in range(_TRIES - 1):
        try:
            return _copy(source, where, content, directory)
        except CheckpointError:
            before = content
            content = source.read(MANIFEST, max_bytes=MAX_JSON_BYTES)
            if content == before:
                raise
    return _copy(source, where, content, directory)


def _copy(
    source: Source, where: RemoteLocation, content: bytes, directory: Path
) -> Path:
    """
    Copy the checkpoint of a manifest, unless it is here.

    Raises:
        CheckpointError: A file differs from the manifest, or cannot be written.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    if where.sha256 not in (None, sha256):
        raise CheckpointError(
            f"{where}/{MANIFEST}: expected sha256 {where.sha256}, got {sha256}"
        )
    if _verified(directory) == sha256:
        return directory
    entries = _entries(where, content)
    try:
        with _lock(directory):
            if _verified(directory) != sha256:  # another process was faster
                _expect_room(where, directory.parent, entries)
                _download(source, where, content, entries, directory)
    except OSError as error:
        raise CheckpointError(
            f"{directory}: cannot be written: {error.strerror or error}; let "
            "VAE_CHECKPOINT_CACHE name a folder that can"
        ) from error
    return directory


def _entries(where: RemoteLocation, content: bytes) -> dict[str, FileEntry]:
    """
    Return the files of a manifest.

    Raises:
        CheckpointError: It is no manifest, or has a name or a size that is not allowed.
    """
    # The name is only for messages.
    path = Path(where.name) / MANIFEST
    entries = parse(Manifest, content, path).files
    try:
        check_names(entries)
    except ValueError as error:
        raise CheckpointError(f"{where}/{MANIFEST}: files: {error}") from error
    for name, entry in entries.items():
        _expect_at_most(MAX_FILE_BYTES, entry.size, f"{where}/{name}")
    _expect_at_most(MAX_BYTES, _total(entries), str(where))
    return entries


def _total(entries: dict[str, FileEntry]) -> int:
    return sum(entry.size for entry in entries.values())


def _expect_at_most(limit: int, size: int, what: str) -> None:
    if size > limit:
        raise CheckpointError(f"{what}: expected at most {limit} bytes, got {size}")


def _expect_room(
    where: RemoteLocation, folder: Path, entries: dict[str, FileEntry]
) -> None:
    wanted, free = _total(entries), shutil.disk_usage(folder).free
    if wanted > free:
        raise CheckpointError(
            f"{where}: expected {wanted} bytes of room in {folder}, got {free}"
        )


def _download(
    source: Source,
    where: RemoteLocation,
    content: bytes,
    entries: dict[str, FileEntry],
    directory: Path,
) -> None:
    """
    Download the files, check them, and put them in place in one step.

    Raises:
        CheckpointError: A file differs from the manifest.
        OSError: A file cannot be written.
        UnreachableError: The source does not answer.
    """
    logger.info("copying %s, %d bytes, to %s", where, _total(entries), directory)
    with replacement(directory) as staged:
        for name, entry in entries.items():
            with (staged / name).open("xb") as file:
                _download_file(source, f"{where}/{name}", name, entry, file)
                _flush(file)
        with (staged / MANIFEST).open("xb") as file:
            file.write(content)
            _flush(file)


def _download_file(
    source: Source, what: str, name: str, entry: FileEntry, file: BinaryIO
) -> None:
    found, n_bytes = hashlib.sha256(), 0
    for chunk in source.chunks(name):
        n_bytes += len(chunk)
        if n_bytes > entry.size:
            raise CheckpointError(f"{what}: expected {entry.size} bytes, got more")
        found.update(chunk)
        file.write(chunk)
    if n_bytes != entry.size:
        raise CheckpointError(f"{what}: expected {entry.size} bytes, got {n_bytes}")
    if found.hexdigest() != entry.sha256:
        raise CheckpointError(
            f"{what}: expected sha256 {entry.sha256}, got {found.hexdigest()}"
        )


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _verified(directory: Path) -> str | None:
    """Return the sha256 of a copy if all of its files are whole."""
    try:
        return verify(directory)
    except CheckpointError:
        return None


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """
    Wait until no other process makes the same copy.

    Raises:
        OSError: The folder of copies cannot be written.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    path = directory.with_name(f".{directory.name}.lock")
    with path.open("wb") as file:
        staging.wait_for_lock(file.fileno())
        yield
