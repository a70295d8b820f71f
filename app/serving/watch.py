"""Looks at a directory for what is new there, and waits until it is all there."""

from pathlib import Path
from typing import NamedTuple, final


class _File(NamedTuple):
    name: str
    inode: int
    size: int
    changed: int  # nanoseconds


@final
class Watch:
    """What was seen in a directory, by names, sizes and times."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: list[_File] = []
        self._told: list[_File] = []

    def has_news(self) -> bool:
        """
        Say once that the files are others, when they have stayed so for two looks.

        So a copy is not read before its end, nor a directory that is just being
        replaced. What lies there at first is new, too.
        """
        before, self._seen = self._seen, _files(self._directory)
        if not self._seen or self._seen != before or self._seen == self._told:
            return False
        self._told = self._seen
        return True


def _files(directory: Path) -> list[_File]:
    """Return what lies in a directory, nothing if it cannot be looked at."""
    try:
        found = [(path.name, path.stat()) for path in sorted(directory.iterdir())]
    except OSError:
        return []
    return [_File(name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in found]
