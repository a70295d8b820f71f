"""A directory is put in place in one step, whenever its writer is killed."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model import staging
from model.checkpoint import directories
from model.checkpoint.directories import open_directory, write_directory
from model.regular_files import read_regular
from tests.model.checkpoint.killed import NEW, OLD

ROOT = Path(__file__).parents[3]
WAYS = ["exchange", "steps"]


def read(directory: Path) -> dict[str, bytes]:
    """Return the files of a directory as a reader finds them."""
    with open_directory(directory) as descriptor:
        return {
            name: read_regular(name, directory=descriptor, max_bytes=99)
            for name in sorted(os.listdir(descriptor))  # noqa: PTH208  # no path
        }


def go(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a system that can exchange two names, or one that cannot."""
    if way == "steps":
        monkeypatch.setattr(directories, "_try_exchange", lambda *_: False)


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("way", [*WAYS, "first"])
def test_a_writer_killed_at_any_moment_leaves_the_old_one_or_the_new_one(
    tmp_path: Path, way: str
) -> None:
    """
    A reader finds either of them whole, and the next writer leaves nothing else.

    Killed before each of its calls of the system in turn, with SIGKILL.
    """
    command = [sys.executable, "-m", "tests.model.checkpoint.killed"]
    subprocess.run([*command, str(tmp_path), way], cwd=ROOT, check=True)
    left = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))

    found = []
    for parent in left:
        try:
            found.append(read(parent / "tiny"))
        except FileNotFoundError:
            found.append({})
        write_directory(parent / "tiny", {"three": b""})

    assert len(left) > 10
    assert set(map(str, found)) == {str({} if way == "first" else OLD), str(NEW)}
    assert found[0] != found[-1] == NEW
    for parent in left:
        assert [path.name for path in parent.iterdir()] == ["tiny"]
        assert read(parent / "tiny") == {"three": b""}


def test_this_system_exchanges_two_names(tmp_path: Path) -> None:
    """Or the test above says less than it seems to."""
    if sys.platform != "linux":
        pytest.skip("the call is of Linux")
    write_directory(tmp_path / "tiny", OLD)
    write_directory(tmp_path / "other", NEW)

    assert directories._try_exchange(tmp_path / "other", tmp_path / "tiny")

    assert read(tmp_path / "tiny") == NEW
    assert read(tmp_path / "other") == OLD


def test_what_a_killed_writer_set_aside_is_read(tmp_path: Path) -> None:
    """Between the two renames of a system that cannot exchange; by a link too."""
    write_directory(tmp_path / ".tiny.previous", OLD)
    (tmp_path / "latest").symlink_to("tiny")

    assert read(tmp_path / "tiny") == read(tmp_path / "latest") == OLD


def test_what_a_killed_writer_set_aside_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next writer that fails leaves it under its name."""
    write_directory(tmp_path / ".tiny.previous", OLD)

    with pytest.raises(OSError, match="File name too long"):
        write_directory(tmp_path / "tiny", {"x" * 300: b""})

    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    assert read(tmp_path / "tiny") == OLD


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_rename_leaves_the_old_one_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """When the system refuses the last step."""
    go(way, monkeypatch)
    directory = tmp_path / "tiny"
    write_directory(directory, OLD)
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        if target == directory and not source.name.endswith(".previous"):
            raise OSError(errno.ENOSPC, "disk full")
        rename(source, target)

    def refuse_exchange(*_: Path) -> bool:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "rename", refuse)
    if way == "exchange":
        monkeypatch.setattr(directories, "_try_exchange", refuse_exchange)

    with pytest.raises(OSError, match=r"disk full: '.*tiny'"):
        write_directory(directory, NEW)

    assert read(directory) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_what_a_live_writer_has_begun_is_not_removed(tmp_path: Path) -> None:
    """Nor is what only looks like a leftover."""
    (tmp_path / ".tiny.notes.partial").mkdir()
    (tmp_path / ".other.0123456789abcdef.partial").mkdir()
    with staging.new_directory(tmp_path / "tiny") as staged:
        write_directory(tmp_path / "tiny", NEW)

        names = {path.name for path in tmp_path.iterdir()}

    others = {".tiny.notes.partial", ".other.0123456789abcdef.partial"}
    assert names == {"tiny", staged.name, *others}
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", *others}


def test_without_locks_a_directory_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leftovers stay then: nothing says whether somebody is writing them."""
    left = tmp_path / ".tiny.0123456789abcdef.partial"
    left.mkdir()

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    write_directory(tmp_path / "tiny", OLD)
    write_directory(tmp_path / "tiny", NEW)

    assert read(tmp_path / "tiny") == NEW
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", left.name}
