"""The cores and the memory that a process may use, also in a container."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_SYSTEM = "sys/fs/cgroup"
# The mount points of each version of control groups, and their files with limits.
_OLD, _OLD_FILES = f"{_SYSTEM}/memory", ("memory.limit_in_bytes",)
_NEW, _NEW_FILES = (_SYSTEM, f"{_SYSTEM}/unified"), ("memory.max", "memory.high")


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(root: Path = _ROOT) -> int:
    """
    Return how many bytes of memory this process and others in its group may use.

    That is the machine's memory, or the lowest limit of the control group and its
    parents if that is less.

    Args:
        root: The directory that contains /proc and /sys.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Yield all limits, in bytes."""
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
    """Yield the limits of a group and of its parents, as far as they are visible."""
    relative = PurePosixPath(path.lstrip("/"))
    for group in (relative, *relative.parents):
        for name in names:
            # In a container the mount may be its own group, without the parents. "max"
            # means no limit, and is not an integer.
            with suppress(OSError, ValueError):
                yield int((mount / group / name).read_text(encoding="ascii"))
