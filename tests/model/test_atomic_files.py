"""A file is replaced in one step, even if others write it and writers are killed."""

import errno
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model import atomic_files, staging
from model.input_errors import reason

ROOT = Path(__file__).parents[2]
_KILLED = """
import os, signal, sys
from pathlib import Path
from model import atomic_files
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
atomic_files.replace(Path(sys.argv[1]), b"new")
"""


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A reader of the old file keeps it whole, and no partial files are left."""
    path = tmp_path / "file"
    atomic_files.replace(path, b"old")
    with path.open("rb") as old:
        atomic_files.replace(path, b"new and longer")

        assert old.read() == b"old"
    assert path.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    """Other users may read what they could read if it were written in place."""
    plain, path = tmp_path / "plain", tmp_path / "file"
    plain.touch()

    atomic_files.replace(path, b"")

    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_disk_that_refuses_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs nothing that was there, and the error names the file."""
    path = tmp_path / "file"
    atomic_files.replace(path, b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left on device") as raised:
        atomic_files.replace(path, b"new")

    assert reason(raised.value) == f"{path}: No space left on device"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each of four replaces the file a hundred times; it is whole in the end."""
    path = tmp_path / "file"
    contents = [bytes([65 + i]) * 9999 for i in range(4)]

    def write(content: bytes) -> None:
        for _ in range(100):
            atomic_files.replace(path, content)

    with ThreadPoolExecutor(4) as pool:
        for writer in [pool.submit(write, content) for content in contents]:
            writer.result()

    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow("starts processes")
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """SIGKILL before the new file is on disk; the old one stands, and then no scrap."""
    path = tmp_path / "file"
    atomic_files.replace(path, b"old")
    command = [sys.executable, "-c", _KILLED, str(path)]
    killed = subprocess.run(command, cwd=ROOT, check=False)
    before, n_left = path.read_bytes(), len(list(tmp_path.iterdir()))

    with staging.new_file(tmp_path / "file") as (live, _):
        atomic_files.replace(path, b"newer")
        names = set(tmp_path.iterdir())

    assert killed.returncode == -signal.SIGKILL
    assert (before, n_left) == (b"old", 2)
    assert names == {path, live}
    assert path.read_bytes() == b"newer"
