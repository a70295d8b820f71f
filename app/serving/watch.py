"""Detects a changed directory, once its files no longer change."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, final


class _File(NamedTuple):
    name: str
    inode: int
    size: int
    changed: int  # in nanoseconds; unlike its time of modification, no tool can set it


@final
class Watch:
    """Compares the names, sizes and times of the files in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: list[_File] = []
        self._reported: list[_File] = []

    def has_changed(self) -> bool:
        """
        Return True once after a change, when two checks have seen the same files.

        So an unfinished copy is not read, nor a directory that is being replaced. The
        initial files count as a change, too.
        """
        before, self._seen = self._seen, _files(self._directory)
        if not self._seen or self._seen != before or self._seen == self._reported:
            return False
        self._reported = self._seen
        return True


def _files(directory: Path) -> list[_File]:
    """Return the files of a directory that can be read; a broken link has no file."""
    found = []
    with suppress(OSError):
        for path in sorted(directory.iterdir()):
            with suppress(OSError):
                s = path.stat()
                found.append(_File(path.name, s.st_ino, s.st_size, s.st_ctime_ns))
    return found
