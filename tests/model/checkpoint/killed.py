"""
Write a directory again and again, killed before each call of the system in turn.

    python -m tests.model.checkpoint.killed ROOT WAY

A process writes ROOT/1/tiny and is ended by SIGKILL before its first call, another
writes ROOT/2/tiny up to its second call, and so on to the first that is not killed.
WAY is `exchange`, `steps` for a system that cannot exchange two names, or `first` for
a name with nothing there yet.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.checkpoint import directories

_CALLS = {
    os: ("open", "fsync", "mkdir", "chmod", "rename", "unlink", "rmdir"),
    directories: ("_try_exchange",),
}
OLD, NEW = ({"one": text * 9, "two": text} for text in (b"old", b"new"))


def main() -> None:
    """Write until a process is not killed."""
    root, way = Path(sys.argv[1]), sys.argv[2]
    n = 0
    status = int(signal.SIGKILL)
    while status:
        n += 1
        directory = root / f"{n}" / "tiny"
        directory.parent.mkdir(parents=True)
        if way != "first":
            directories.write_directory(directory, OLD)
        child = os.fork()
        if not child:
            _write(directory, n, way)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), status


def _write(directory: Path, n: int, way: str) -> None:
    if way == "steps":
        directories._try_exchange = lambda *_: False
    count = [n]
    for module, names in _CALLS.items():
        for name in names:
            setattr(module, name, _deadly(getattr(module, name), count))
    status = 1
    try:
        directories.write_directory(directory, NEW)
        status = 0
    finally:
        os._exit(status)


def _deadly(call: Callable[..., Any], count: list[int]) -> Callable[..., Any]:
    """Return a function that is the end of the process once the count is over."""

    def counted(*arguments: Any, **options: Any) -> Any:
        count[0] -= 1
        if not count[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    return counted


if __name__ == "__main__":
    main()
