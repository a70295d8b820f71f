"""The memory that there is: the lowest limit of a control group, or the machine's."""

import os
from pathlib import Path

import pytest

from model.machine import available_memory

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
NO_LIMIT = "9223372036854771712"  # what version 1 says where there is none
MIB = 1 << 20


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Make a /proc and a /sys of a machine with these control groups."""
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


V1 = "sys/fs/cgroup/memory"
V2 = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("groups", "files", "mebibytes"),
    [
        ("0::/", {f"{V2}/memory.max": str(64 * MIB)}, 64),
        ("0::/a/b", {f"{V2}/a/b/memory.max": str(70 * MIB)}, 70),
        (
            "0::/a/b",
            {f"{V2}/a/memory.max": str(65 * MIB), f"{V2}/a/b/memory.max": "max"},
            65,
        ),
        ("0::/a", {f"{V2}/a/memory.high": str(66 * MIB)}, 66),
        ("5:cpu:/x\n4:memory:/a", {f"{V1}/a/memory.limit_in_bytes": f"{67 * MIB}"}, 67),
        # In a container without a name space of its own for groups.
        ("4:memory:/docker/1", {f"{V1}/memory.limit_in_bytes": f"{68 * MIB}"}, 68),
        ("4:memory:/\n0::/a", {f"{V2}/unified/a/memory.max": f"{69 * MIB}"}, 69),
    ],
)
def test_a_limit_of_a_group_counts(
    tmp_path: Path, groups: str, files: dict[str, str], mebibytes: int
) -> None:
    """Of either version, and of groups around it."""
    root = machine(tmp_path, groups, files)

    assert available_memory(root) == mebibytes * MIB


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/", {f"{V2}/memory.max": "max"}),
        ("4:memory:/", {f"{V1}/memory.limit_in_bytes": NO_LIMIT}),
        ("0::/gone", {}),
    ],
)
def test_without_a_limit_the_machine_counts(
    tmp_path: Path, groups: str, files: dict[str, str]
) -> None:
    """As where there are no control groups at all."""
    assert available_memory(machine(tmp_path / "with", groups, files)) == PHYSICAL
    assert available_memory(tmp_path / "without") == PHYSICAL
