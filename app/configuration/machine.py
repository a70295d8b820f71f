"""What a process may use of the machine, or of the container that it runs in."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_SYSTEM = "sys/fs/cgroup"
# Where each version of control groups is mounted, and the files with its limits.
_OLD, _OLD_FILES = f"{_SYSTEM}/memory", ("memory.limit_in_bytes",)
_NEW, _NEW_FILES = (_SYSTEM, f"{_SYSTEM}/unified"), ("memory.max", "memory.high")


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(root: Path = _ROOT) -> int:
    """
    Return how many bytes this process and all that share its limits may use.

    That is the lowest limit of its control group and of those around it, or the
    machine's memory where there is none, or less of it than that.

    Args:
        root: Where /proc and /sys are looked for.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Yield every limit that there is, in bytes."""
    groups = ""
    with suppress(OSError):
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8")
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for mount in _NEW:
                yield from _limits_of(root / mount, path, _NEW_FILES)
        elif "memory" in controllers.split(","):
            yield from _limits_of(root / _OLD, path, _OLD_FILES)


def _limits_of(mount: Path, path: str, names: tuple[str, ...]) -> Iterator[int]:
    """Yield the limits of a group and of those around it, as far as they are seen."""
    relative = PurePosixPath(path.lstrip("/"))
    for group in (relative, *relative.parents):
        for name in names:
            # Of a container the mount may be its own group, without those around it;
            # "max" is no limit.
            with suppress(OSError, ValueError):
                yield int((mount / group / name).read_text(encoding="ascii"))
