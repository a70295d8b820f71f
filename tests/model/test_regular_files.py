"""Only regular files are opened, and read no further than is allowed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from model.regular_files import open_regular, read_regular


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """By its path, by its name in an open directory, and through a link."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    directory = os.open(tmp_path, os.O_RDONLY)

    try:
        assert read_regular(tmp_path / "file", max_bytes=7) == b"content"
        assert read_regular("file", directory=directory, max_bytes=7) == b"content"
        assert read_regular("link", directory=directory, max_bytes=7) == b"content"
    finally:
        os.close(directory)


def test_a_larger_file_is_refused(tmp_path: Path) -> None:
    """Before it is read."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(OSError, match="expected at most 7 bytes, got 1099511627776"):
        read_regular(tmp_path / "file", max_bytes=7)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")],
    ids=["fifo", "directory", "device"],
)
def test_what_is_not_regular_is_refused(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    """At once, whether or not anybody writes to the pipe."""
    make(tmp_path / "file")

    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "file")


def test_what_has_become_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a name and its opening another file may take it."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    found = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda path, dir_fd=None: found)

    with pytest.raises(OSError, match="not a regular file"):
        open_regular(path)
