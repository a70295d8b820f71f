"""
Write a directory again and again, killed before each call of the system in turn.

    python -m tests.model.checkpoint.killed ROOT WAY

A process writes ROOT/1/tiny and is ended by SIGKILL before its first call, another
writes ROOT/2/tiny up to its second call, and so on to the first that is not killed.
WAY is `exchange`, `steps` for a system that cannot exchange two names, or `first` for
a name with nothing there yet.
"""

import sys
from functools import partial
from pathlib import Path

from benchmarks.kills import is_killed
from model.checkpoint import directories

OLD, NEW = ({"one": text * 9, "two": text} for text in (b"old", b"new"))


def main() -> None:
    """Write until a process is not killed."""
    root, way = Path(sys.argv[1]), sys.argv[2]
    if way == "steps":
        directories._try_exchange = lambda *_: False
    n, was_killed = 0, True
    while was_killed:
        n += 1
        directory = root / f"{n}" / "tiny"
        directory.parent.mkdir(parents=True)
        if way != "first":
            directories.write_directory(directory, OLD)
        was_killed = is_killed(n, partial(directories.write_directory, directory, NEW))


if __name__ == "__main__":
    main()
