"""Write a directory whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_directory(directory: Path, files: Mapping[str, bytes]) -> None:
    """
    Write files into a new directory and move it to its name in one step.

    Raises:
        OSError: The disk refused; what stood under the name before still stands.
    """
    directory = directory.resolve()  # what a link points to is replaced, not the link
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory}: expected a directory or nothing there")
    directory.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, content in files.items():
            with (staged / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        staged.chmod(0o755)  # mkdtemp's 0700 would hide it from a server's own user
        _fsync_directory(staged)
        _replace(staged, directory)
        _fsync_directory(directory.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _replace(staged: Path, directory: Path) -> None:
    """Rename over an existing directory, which POSIX allows only for empty ones."""
    if not directory.exists():
        staged.rename(directory)
        return
    previous = directory.with_name(f".{directory.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    directory.rename(previous)
    try:
        staged.rename(directory)
    except OSError:
        previous.rename(directory)
        raise
    shutil.rmtree(previous)


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
