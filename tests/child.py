"""Prints what a process can see of its start, for tests of how processes start."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path


def descriptors() -> list[str]:
    """Return those that are open, without shared libraries: libffi has itself open."""
    opened = []
    for path in [*Path("/proc/self/fd").iterdir()]:
        with suppress(FileNotFoundError):  # the one of this listing
            if ".so" not in path.readlink().suffixes:
                opened.append(str(path))
    return sorted(opened)


seen = {
    "name": __name__,
    "argv": sys.argv,
    "path": sys.path,
    "cwd": str(Path.cwd()),
    "environment": dict(os.environ),
    "parent": os.getppid(),
    "group": os.getpgid(0),
    "session": os.getsid(0),
    "descriptors": descriptors(),
    "threads": [path.name for path in Path("/proc/self/task").iterdir()]
    == [str(os.getpid())],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "handlers": [str(signal.getsignal(number)) for number in signal.valid_signals()],
    "buffered": [stream.line_buffering for stream in (sys.stdout, sys.stderr)],
    "unread": sys.stdin.read(),
}
sys.stdout.write(json.dumps(seen))
sys.stderr.write("done\n")
sys.exit(int(sys.argv[1]))
