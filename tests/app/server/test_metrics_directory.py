"""Where the workers' metrics are, also in a container that can write nearly nowhere."""

import errno
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.server import metrics_directory
from app.server.startup import StartError


def no_temporary_directory() -> str:
    """Fail as `tempfile` does where it finds none."""
    raise FileNotFoundError(2, "No usable temporary directory found")


def test_without_a_temporary_directory_shared_memory_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A container with a read-only root still has /dev/shm; nothing is left in it."""
    monkeypatch.setattr(tempfile, "gettempdir", no_temporary_directory)
    monkeypatch.setattr(metrics_directory, "_SHARED_MEMORY", tmp_path)

    with metrics_directory.create(2) as directory:
        assert directory.parent == tmp_path
        assert os.environ[metrics_directory.VARIABLE] == str(directory)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("chosen", "full", "wanted"),
    [
        (False, [], "shared"),
        (False, ["shared"], "temporary"),
        (True, [], "temporary"),
        (True, ["temporary"], "shared"),
        (True, ["temporary", "shared"], None),
    ],
)
def test_a_directory_without_room_is_not_used(
    chosen: bool,
    full: list[str],
    wanted: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The kernel would kill workers that write; TMPDIR comes first if it is set."""
    shared, temporary = tmp_path / "shared", tmp_path / "temporary"
    shared.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(metrics_directory, "_SHARED_MEMORY", shared)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary) if chosen else "")

    def disk_usage(directory: Path) -> SimpleNamespace:
        return SimpleNamespace(free=(2 << 20) - (directory.name in full))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)

    if wanted is None:
        with pytest.raises(StartError, match="2 MiB"), metrics_directory.create(2):
            pass
    else:
        with metrics_directory.create(2) as directory:
            assert directory.parent == tmp_path / wanted


def test_where_there_are_no_locks_it_is_made_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that a running service may own is not removed then."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr(metrics_directory, "_SHARED_MEMORY", tmp_path)

    with metrics_directory.create(2) as first, metrics_directory.create(2) as second:
        assert first != second
        assert first.is_dir()

    assert list(tmp_path.iterdir()) == []


def test_without_any_directory_the_start_fails_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says what to mount; no traceback."""
    monkeypatch.setattr(tempfile, "gettempdir", no_temporary_directory)
    monkeypatch.setattr(metrics_directory, "_SHARED_MEMORY", tmp_path / "none")

    with (
        pytest.raises(StartError, match="mount a tmpfs at /tmp, or let TMPDIR name"),
        metrics_directory.create(2),
    ):
        pass
